"""Tables and figures that show themselves: as HTML or SVG in a notebook, as text in a terminal."""

from collections.abc import Callable, Sequence
from functools import cached_property
from html import escape
from pathlib import Path

from ablations.errors import UserError
from ablations.reports.formats import PICTURES
from ablations.system.files import write_whole
from ablations.tables import markup, table


class Table:
    """A study's table, as `ablations table` prints it: the paper's figures beside ours.

    content: its lines with all numbers, a `tables.table.Table`.

    >>> table = runs.table()
    >>> print(table.text("csv").splitlines()[0][:26])
    study,row,table_row,table_
    """

    def __init__(self, content: table.Table):
        self.content = content

    def text(self, form: str = "markdown") -> str:
        """The table as markdown, csv, latex or html. Raises UserError for another format."""
        if form not in markup.WRITERS:
            raise UserError(f"format={form}: legal are {', '.join(markup.WRITERS)}")
        return markup.WRITERS[form](self.content)

    def __repr__(self) -> str:
        return self.text().rstrip()

    def _repr_html_(self) -> str:
        return self.text("html")


class Figure:
    """A figure in the style of the paper's; each time it is drawn it has the same bytes.

    >>> figure = runs.curves()
    >>> figure.svg[:4]
    '<svg'
    >>> figure.save("curves.png")
    """

    def __init__(self, title: str, draw: Callable[[str], bytes]):
        self.title, self._draw = title, draw

    @cached_property
    def svg(self) -> str:
        """Its <svg> element, for use in a page."""
        whole = self._draw("svg").decode()
        return whole[whole.index("<svg") :]

    def save(self, path: str | Path) -> None:
        """Write it as svg, pdf or png, by the ending of the name.

        Raises UserError if the name ends otherwise, or the file cannot be written.
        """
        path = Path(path)
        form = path.suffix.removeprefix(".")
        if form not in PICTURES:
            raise UserError(f"{path}: the name of a figure must end in .{', .'.join(PICTURES)}")
        try:
            write_whole(path, self._draw(form))
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<figure: {self.title}; save('NAME.svg') writes it>"

    def _repr_svg_(self) -> str:
        return self.svg


def html_grid(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Texts as a <table>, escaped; the first column names the rows, and the notes follow as paragraphs."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = []
    for name, *texts in rows:
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>")
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
        f"</table>{below}"
    )
