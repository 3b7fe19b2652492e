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

// Fold away the columns up to this rank, which matter least; those of rank 0 always stay. Returns how many are folded.
const fold = (table, rank) => {
  const heads = table.tHead.rows[table.tHead.rows.length - 1];
  const hidden = [...heads.cells].map((head) => head.dataset.fold > 0 && head.dataset.fold <= rank);
  for (const row of [heads, ...table.tBodies[0].rows])
    hidden.forEach((is, i) => row.cells[i].classList.toggle("folded", is));
  if (heads.rowIndex > 0) span(table.tHead.rows[0].cells, hidden);
  return hidden.filter(Boolean).length;
};

// A head above several columns is as wide as those of them that are shown.
const span = (groups, hidden) => {
  let at = 0;
  for (const group of groups) {
    group.dataset.columns ??= group.colSpan;
    const shown = hidden.slice(at, (at += Number(group.dataset.columns))).filter((is) => !is).length;
    group.colSpan = Math.max(shown, 1);
    group.classList.toggle("folded", !shown);
  }
};

// Fold a table until it fits. A button brings the columns back; a hint says where one scrolls.
const fit = (region) => {
  const table = region.querySelector("table.folding");
  const [button, hint] = region.nextElementSibling.children;
  const isTooWide = () => region.scrollWidth > region.clientWidth + 1;
  const ranks = table ? [...table.querySelectorAll("th[data-fold]")].map((head) => Number(head.dataset.fold)) : [];
  const last = "all" in region.dataset ? 0 : Math.max(0, ...ranks);
  let count = table ? fold(table, 0) : 0;
  for (let rank = 1; rank <= last && isTooWide(); rank++) count = fold(table, rank);
  button.hidden = !(count || "all" in region.dataset);
  button.textContent = count ? `Show ${count} more ${count === 1 ? "column" : "columns"}` : "Show fewer columns";
  hint.hidden = !isTooWide();
  region.nextElementSibling.hidden = button.hidden && hint.hidden;
};

const regions = [...document.querySelectorAll(".scroll")];
for (const region of regions) {
  region.nextElementSibling.querySelector("button").addEventListener("click", () => {
    region.toggleAttribute("data-all");
    fit(region);
  });
}
const fitAll = () => matchMedia("print").matches || regions.forEach(fit);
addEventListener("resize", fitAll);
fitAll();

// On paper the table of all rows has every column, so the one with a column for each network needs but one figure in each.
addEventListener("beforeprint", () => {
  for (const table of document.querySelectorAll("table.folding")) fold(table, table.tHead.rows.length > 1 ? Infinity : 0);
});
addEventListener("afterprint", fitAll);
