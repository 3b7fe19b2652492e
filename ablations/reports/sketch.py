"""The report's small drawings, as SVG: the curve of a run, the seeds of a row. Made without matplotlib: there are thousands.

Errors are drawn as in the figures (style.py): 0 to 20 percent, and fails above that, compressed eight times.
"""

import math

from ablations.runs.record import FAIL_PERCENT

POINTS = 200  # of a curve; more would not be visible
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 150, 38, 32, 8, 22
STRIP_WIDTH, STRIP_HEIGHT = 120, 16


def compressed(error: float) -> float:
    """0 ... 100 percent -> 0 ... 1, with the part above 20 compressed eight times."""
    top = FAIL_PERCENT + (100 - FAIL_PERCENT) / 8
    return (min(error, FAIL_PERCENT) + max(error - FAIL_PERCENT, 0) / 8) / top


def seeds(errors: list[float | None], paper: float | None) -> str:
    """A dot for each seed, a cross for seeds that diverged, a bar for the paper's figure."""

    def x(error):
        return f"{4 + (STRIP_WIDTH - 8) * compressed(error):.1f}"

    middle = STRIP_HEIGHT / 2
    marks = [f'<circle cx="{x(error)}" cy="{middle:g}" r="3"/>' for error in errors if error is not None]
    marks += [f'<path class="cross" d="M{x(100)} {middle:g}m-3-3l6 6m0-6l-6 6"/>'] * (None in errors)
    if paper is not None:
        marks.insert(0, f'<path class="paper" d="M{x(paper)} 1v{STRIP_HEIGHT - 2}"/>')
    fail = float(x(FAIL_PERCENT))
    return (
        f'<svg class="seeds" viewBox="0 0 {STRIP_WIDTH} {STRIP_HEIGHT}" aria-hidden="true">'
        f'<rect class="fail" x="{fail:g}" width="{STRIP_WIDTH - fail:g}" height="{STRIP_HEIGHT}"/>{"".join(marks)}</svg>'
    )


def curve(metrics: list[dict]) -> str:
    """Training loss (dashed, log axis) and test error (solid)."""
    metrics = metrics[:: math.ceil(len(metrics) / POINTS)] + metrics[-1:]
    steps = metrics[-1]["step"]
    losses = [line["train_loss"] for line in metrics if _drawable(line["train_loss"])]
    low, high = (math.floor(math.log10(min(losses))), math.ceil(math.log10(max(losses)))) if losses else (0, 1)
    high = max(high, low + 1)
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(step):
        return LEFT + (right - LEFT) * step / steps

    def error(percent):
        return bottom - (bottom - TOP) * compressed(percent)

    def loss(value):
        return bottom - (bottom - TOP) * (math.log10(value) - low) / (high - low)

    def path(key, height, drawable):
        points = [f"{x(line['step']):.1f} {height(line[key]):.1f}" for line in metrics if drawable(line[key])]
        return f"M{'L'.join(points)}" if points else ""

    ticks = [
        f'<text x="{LEFT - 5}" y="{loss(10.0**e) + 3:.1f}" class="end">{10.0**e:g}</text>' for e in range(low, high + 1)
    ]
    ticks += [f'<text x="{right + 5}" y="{error(e) + 3:.1f}">{e}</text>' for e in (0, 10, 20, 100)]
    ticks += [f'<text x="{x(s):.1f}" y="{bottom + 14}" class="middle">{s:,}</text>' for s in (0, steps)]
    first, last = metrics[0]["test_error_percent"], metrics[-1]["test_error_percent"]
    return (
        f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Test error over {steps} steps, '
        f"from {first:.2f} to {last:.2f} percent; training loss from {metrics[0]['train_loss']:.3g} to "
        f'{metrics[-1]["train_loss"]:.3g}"><rect class="fail" x="{LEFT}" y="{error(100):.1f}" width="{right - LEFT}" '
        f'height="{error(FAIL_PERCENT) - error(100):.1f}"/><path class="frame" d="M{LEFT} {TOP}V{bottom}H{right}V{TOP}z"/>'
        f'{"".join(ticks)}<path class="loss" d="{path("train_loss", loss, _drawable)}"/>'
        f'<path class="error" d="{path("test_error_percent", error, math.isfinite)}"/></svg>'
    )


def _drawable(loss: float) -> bool:
    return math.isfinite(loss) and loss > 0
