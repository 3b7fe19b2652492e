"""How figures look: as wide as a paper's column, legible in black and white, the same bytes each time.

    with style.applied():
        figure, (axes,) = style.panels(1)
        style.line(axes, steps, medians, 0, label="identity", band=(lowest, highest))
        style.line(axes, steps, others, 1, label="plain")
        style.error_axis(axes, fails=True)
        style.legend(axes, "What is compared")
        style.finish(figure, caption="What the figure shows.")
        content = style.render(figure, "svg", title="...", description="...")

Importing this module imports matplotlib, so commands import it only when they draw.
"""

import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ablations.runs.record import FAIL_PERCENT

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

PANEL_INCHES = (3.4, 2.0)  # without the legend above it; a paper's column is 3.3 to 3.5 inches wide
LINE_INCHES = 0.15
INK, GRID, SHADE = "#222222", "#dddddd", "#eeeeee"

# Colour, marker, whether the marker is filled, dashes of the training loss. Neighbours differ in lightness, shape and
# filling, so that no pair needs colour; colour-blind readers can tell the colours apart.
LOOKS = (
    ("#004488", "o", True, (0, (6, 1.6))),
    ("#d1603d", "s", False, (0, (2.6, 1.2))),
    ("#17573f", "^", True, (0, (6, 1.3, 1.3, 1.3))),
    ("#8f7cc9", "D", False, (0, (3, 1))),
    ("#7a2e52", "v", True, (0, (5, 1, 1, 1, 1, 1))),
    ("#3d94cf", "P", False, (0, (1, 2))),
    ("#6b5a00", "X", True, (0, (8, 2))),
    ("#8a8a8a", "*", False, (0, (3, 3))),
)

_SETTINGS: "dict[RcKeyType, Any]" = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.2,
    "lines.markeredgewidth": 1,
    "savefig.dpi": 200,
    "svg.fonttype": "none",  # text stays text: smaller, and screen readers can read it
    "svg.hashsalt": "ablations",  # the same names of clip paths each time
    "pdf.fonttype": 42,  # TrueType, which publishers ask for
}


@contextmanager
def applied() -> Iterator[None]:
    """Use this style, whatever the user's matplotlibrc says; draw and render inside the block."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many axes, two in a row."""
    columns = min(count, 2)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def line(axes: Axes, x, y, look: int, *, label: str | None = None, band=None, loss: bool = False) -> None:
    """A line in one of `LOOKS`; a NaN in y is a gap.

    band: the lowest and the highest values, two sequences as long as y. loss: dashed and without markers, as the paper
    draws a training loss.
    """
    colour, marker, filled, dashes = LOOKS[look % len(LOOKS)]
    if band is not None:
        axes.fill_between(x, *band, color=colour, alpha=0.15, linewidth=0)
    if loss:
        axes.plot(x, y, color=colour, linestyle=dashes, linewidth=1.1, label=label)
    else:
        shape = {"marker": marker, "markevery": max(1, len(x) // 8), "markerfacecolor": colour if filled else "white"}
        axes.plot(x, y, color=colour, label=label, **shape)


def points(axes: Axes, x, y, low, high) -> None:
    """Points with bars from the lowest to the highest value; the lowest point is filled, and named with its place."""
    colour, marker, *_ = LOOKS[0]
    best = min(range(len(y)), key=lambda i: y[i])
    for i in range(len(x)):
        axes.vlines(x[i], low[i], high[i], color=colour, linewidth=0.8)
        face, label = (colour, f"lowest: {y[i]:.2f} % at {x[i]:.4g}") if i == best else ("white", None)
        axes.plot(x[i], y[i], color=colour, linestyle="none", marker=marker, markerfacecolor=face, label=label)


def level(axes: Axes, y: float, look: int, *, label: str, band: Sequence[float] | None = None) -> None:
    """A horizontal line: a value that does not depend on x."""
    colour = LOOKS[look % len(LOOKS)][0]
    if band is not None:
        axes.axhspan(*band, color=colour, alpha=0.15, linewidth=0)
    axes.axhline(y, color=colour, label=label)


def error_axis(axes: Axes, *, fails: bool, of: str = "test") -> None:
    """The error of these images in percent, 0 to 20 as in the paper.

    fails: whether a run ends above 20 %. If so, the part from 20 to 100 is shown too, shaded and compressed eight
    times, above a line at 20.
    """
    axes.set_ylabel(f"{of} error (%)")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if not fails:
        axes.set_ylim(0, FAIL_PERCENT)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        return
    axes.set_yscale("function", functions=(_compress, _expand))
    axes.set_ylim(0, 100)
    axes.axhspan(FAIL_PERCENT, 100, color=SHADE, linewidth=0, zorder=0)
    axes.hlines(FAIL_PERCENT, 0, 1, transform=axes.get_yaxis_transform(), color=INK, linewidth=0.8)
    axes.yaxis.set_major_locator(FixedLocator([0, 5, 10, 15, FAIL_PERCENT, 60, 100]))
    axes.yaxis.set_minor_locator(NullLocator())


def _compress(error):
    return error - (error > FAIL_PERCENT) * (error - FAIL_PERCENT) * 7 / 8


def _expand(height):
    return height + (height > FAIL_PERCENT) * (height - FAIL_PERCENT) * 7


def loss_axis(axes: Axes) -> None:
    """Training loss, on a log axis."""
    axes.set_yscale("log")
    axes.set_ylabel("training loss")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def step_axis(axes: Axes, steps: int) -> None:
    """Training steps, from 0 to the last."""
    axes.set_xlabel("steps")
    axes.set_xlim(0, steps * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g}k" if steps > 5000 else f"{value:g}")
    )


def number_axis(axes: Axes, numbers: Sequence[float], label: str, *, scale: str) -> None:
    """A number of the configuration, with a tick at each one that is there; scale: "linear" or "log"."""
    axes.set_xlabel(label)
    axes.set_xscale(scale)
    axes.set_xticks(numbers)
    if scale == "log":
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())


def range_axis(axes: Axes, label: str, *, scale: str) -> None:
    """A number of the configuration with any values; scale: "linear" or "log"."""
    axes.set_xlabel(label)
    axes.set_xscale(scale)
    if scale == "log":
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())


def legend(axes: Axes, title: str, *, missing: Sequence[str] = ()) -> None:
    """The panel's title and the names of its lines, above the axes where they hide nothing; `missing` are names without a line."""
    for name in missing:
        axes.plot([], [], linestyle="none", label=name)
    legend = axes.legend(
        title=title,
        title_fontproperties={"weight": "bold", "size": 8},
        alignment="left",
        loc="lower left",
        bbox_to_anchor=(-0.02, 1),
        borderaxespad=0.1,
        labelspacing=0.3,
        handlelength=2.4,
    )
    for text in legend.get_texts():
        text.set_text(textwrap.fill(text.get_text(), 44))  # a legend wider than the axes would shrink them
    legend.get_title().set_visible(bool(title))


def finish(figure: Figure, *, caption: str = "") -> None:
    """Make room for the legends and for a caption below the figure."""
    legends = [legend.get_texts() for axes in figure.axes if (legend := axes.get_legend())]
    names = max([1 + sum(1 + text.get_text().count("\n") for text in texts) for texts in legends] or [1])
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 21))
    grid = figure.axes[0].get_gridspec()
    rows = grid.nrows if grid else 1
    figure.set_figheight(rows * (PANEL_INCHES[1] + LINE_INCHES * names) + LINE_INCHES * len(lines))
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6.5)


def render(figure: Figure, form: str, *, title: str, description: str) -> bytes:
    """The figure as a file of the format svg, pdf or png, without a date."""
    about = {
        "svg": {"Title": title, "Description": description, "Date": None},
        "pdf": {"Title": title, "Subject": description, "CreationDate": None},
        "png": {"Title": title, "Description": description},
    }
    out = io.BytesIO()
    figure.savefig(out, format=form, metadata=about[form])
    return out.getvalue()
