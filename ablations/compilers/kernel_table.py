"""The kernels of a compiled training step as text: the heaviest of them, the sums of each kind, all of them as CSV."""

from ablations.compilers.hlo import Kernel
from ablations.compilers.program import Program, Sum
from ablations.terminal import grid
from ablations.terminal.units import millions, size

FORMATS = ("terminal", "markdown", "csv")
RIGHT = ("kernels", "times a step", "bytes", "bytes a step", "cycles", "cycles a step")


def heaviest(program: Program, count: int) -> list[dict[str, str]]:
    """The cells of the heaviest kernels, by heading."""
    return [
        {
            "kernel": kernel.name,
            "kind": kernel.kind,
            "times a step": _times(kernel.times),
            "bytes": size(kernel.size),
            "bytes a step": size(kernel.times * kernel.size),
            **(_cycles(kernel) if program.cycles is not None else {}),
            "result": kernel.dtype,
            "source": kernel.source,
        }
        for kernel in program.heaviest(count)
    ]


def _cycles(kernel: Kernel) -> dict[str, str]:
    if kernel.cycles is None:
        return {"cycles": "-", "cycles a step": "-"}
    return {"cycles": f"{kernel.cycles:,}", "cycles a step": millions(kernel.times * kernel.cycles)}


def _times(times: float) -> str:
    return f"{times:,.0f}" if times == round(times) else f"{times:,.2f}"


def kinds(program: Program) -> list[dict[str, str]]:
    """The cells of the sums by kind, and of all of them, by heading."""
    sums = program.kinds()
    every = Sum(*map(sum, zip(*sums.values(), strict=True))) if sums else Sum(0, 0, 0)
    return [
        {
            "kind": kind,
            "kernels": f"{total.times:,.0f}",
            "bytes a step": size(total.bytes),
            **({"cycles a step": millions(total.cycles)} if program.cycles is not None else {}),
        }
        for kind, total in (sums | {"all": every}).items()
    ]


def notes(program: Program) -> list[str]:
    """What the columns count."""
    lines = [
        f"Times a step: of a call of {program.steps} step{'s' * (program.steps > 1)}. Bytes: what a kernel reads from the "
        "device's memory and writes to it, of a slice what is touched. Source: the line of this package that it comes "
        "from, where kernels of several lines are fused that of the result."
    ]
    if program.cycles is not None:
        lines.append("Cycles: XLA's own estimate. Kernels without one are transfers beside others, and small scalars.")
    return lines


def as_csv(program: Program) -> str:
    """One line for each kernel, in their order, in plain numbers."""
    heading = ("kernel", "kind", "times_a_step", "bytes", "cycles", "dtype", "source")
    rows = ((k.name, k.kind, round(k.times, 4), round(k.size), k.cycles, k.dtype, k.source) for k in program.kernels)
    return grid.as_csv(heading, rows)
