// Sort a table by the column whose button is pressed: ascending, descending, then as it was. Empty cells stay last.
const status = document.querySelector("[role=status]");

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const asItWas = [...body.rows];
  table.tHead.addEventListener("click", (event) => {
    const header = event.target.closest("th");
    if (!event.target.closest("button")) return;
    const next = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
    const order = next === undefined ? "ascending" : next;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (order) header.setAttribute("aria-sort", order);
    const key = (row) => row.cells[header.cellIndex].dataset.sort ?? row.cells[header.cellIndex].textContent.trim();
    const sign = order === "descending" ? -1 : 1;
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * ("sort" in one.cells[header.cellIndex].dataset ? a - b : a.localeCompare(b));
    };
    body.append(...(order ? [...asItWas].sort(compare) : asItWas));
    status.textContent = order ? `sorted by ${event.target.textContent}, ${order}` : "in the study's order";
  });
}

// A link to a row opens its first run.
const reveal = () => {
  const target = document.getElementById(location.hash.slice(1));
  const run = target?.matches("details") ? target : target?.querySelector("details");
  if (run) run.open = true;
};
addEventListener("hashchange", reveal);
reveal();
