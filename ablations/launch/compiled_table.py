"""A plan for devices that are not here as text: for a terminal, in Markdown, as CSV."""

from importlib import metadata

from ablations.compilers.program import LAUNCH_SECONDS, SMALL_BYTES, Bound, Program
from ablations.compilers.target import Target, versions
from ablations.launch import plan_table
from ablations.launch.compiled_plan import CompiledLine, CompiledPlan
from ablations.launch.plan import Run
from ablations.launch.plan_table import counted, name, numbered, seeds, varied
from ablations.terminal import grid
from ablations.terminal.units import duration, millions, rate, scientific, short, size

RIGHT = (
    "steps",
    "batch",
    "devices",
    "program",
    "temporary",
    "peak",
    "fits",
    "kernels",
    "small",
    "bytes a step",
    "collectives",
    "cycles",
    "a step at least",
    "without launches",
    "a run at least",
)


def cells(plan: CompiledPlan) -> list[dict]:
    """The cells of each row, by heading; settings that all rows share stand in the title instead."""
    exchanged = any(line.devices > 1 for line in plan.lines)
    return [
        {"row": name(line.config), **settings, "program": number}
        | _figures(line, exchanged=exchanged)
        | {"a run at least": duration(_run_seconds(line)), "seeds": seeds(line)}
        for line, settings, number in zip(plan.lines, varied(plan), numbered(plan), strict=True)
    ]


def _figures(line: CompiledLine, *, exchanged: bool) -> dict[str, str]:
    program, bound, share = line.program, line.bound, line.share_of_memory
    headings = ["temporary", "peak", "fits", "kernels", "small", "bytes a step"]
    headings += ["collectives"] * exchanged
    headings += (
        ["a step at least", "without launches"] if line.target.platform == "cuda" else ["cycles", "a step at least"]
    )
    if isinstance(program, str) or bound is None or share is None:
        exhausted = isinstance(program, str) and program.startswith("RESOURCE_EXHAUSTED")  # XLA's word for it
        return dict.fromkeys(headings, "-") | ({"fits": "no"} if exhausted else {})
    values = {
        "temporary": size(program.temporary_bytes),
        "peak": size(program.peak_bytes),
        "fits": f"{'yes' if share <= 1 else 'no'}, {100 * share:.2g} %",
        "kernels": f"{program.kernel_count:,.0f}",
        "small": f"{program.small_count:,.0f}",
        "bytes a step": size(program.traffic_bytes),
        "collectives": _collectives(program),
        "cycles": millions(program.cycles),
        "a step at least": _decided(bound),
        "without launches": _decided(bound.without("launches")),
    }
    return {heading: values[heading] for heading in headings}


def _decided(bound: Bound) -> str:
    return f"{short(bound.seconds)}: {bound.reason}"


def _collectives(program: Program) -> str:
    number, sent, dtypes = program.collectives
    return f"{number:,.0f} ({size(sent)}, {', '.join(dtypes)})" if number else "0"


def _run_seconds(line: CompiledLine) -> float | None:
    return line.config.recipe.total_steps * line.bound.seconds if line.bound else None


def title(plan: CompiledPlan) -> str:
    counts = sorted({line.devices for line in plan.lines})
    devices = f"{' or '.join(map(str, counts))} x {plan.target.title}"
    return f"{plan_table.title(plan, without='devices')}, for {devices}"


def notes(plan: CompiledPlan) -> list[str]:
    """The notes below a plan: the sums, and what the figures mean."""
    target, programs = plan.target, [line.program for line in plan.lines if isinstance(line.program, Program)]
    lines = [counted(plan)]
    if any(run.steps_left for run in plan.runs):
        time = (
            f"at least {duration(plan.seconds)} for all training steps, one run after the other; tests, start and "
            "compilation are not counted. "
        )
        known = time if plan.seconds is not None else ""
        lines.append(f"To go: {known}{scientific(plan.flop_left)} FLOP; {size(plan.disk_bytes)} of disk.")
    compilers = ", ".join([f"jax=={metadata.version('jax')}", *versions(target.platform)])
    lines.append(
        f"Compiled for {target.title}, which need not be here ({compilers}); nothing was run. All figures are of one "
        "device and one step."
    )
    if programs:
        lines += [*_meanings(plan.target, programs), *_assumptions(plan)]
    for line in plan.lines:
        if isinstance(line.program, str):
            lines.append(f"Not compiled: {name(line.config)}: {line.program.rstrip('.')}.")
    return lines + [run.note for run in plan.runs if run.note]


def _meanings(target: Target, programs: list[Program]) -> list[str]:
    """What the columns count."""
    calls = sorted({program.steps for program in programs})
    lines = [
        f"Temporary, peak: XLA's figures for a call of {' or '.join(map(str, calls))} step{'s' * (calls != [1])}. Fits: what it needs with "
        f"its arguments, of {size(target.memory_bytes)}.",
        f"Kernels: of these, the small ones touch less than {size(SMALL_BYTES)}. Bytes: what each kernel reads and "
        "writes, of a slice what is touched, as if nothing stayed in a cache.",
    ]
    if target.platform == "tpu":
        lines.append("Cycles: XLA's own estimate, of each kernel times how often it runs.")
    if any(program.collectives.number for program in programs):
        lines.append("Collectives: their number, and what each device hands in. Their time is not counted.")
    return lines


def _assumptions(plan: CompiledPlan) -> list[str]:
    """What the lower bounds rest on."""
    target, precisions = plan.target, sorted({line.config.precision for line in plan.lines})
    peaks = [f"{rate(target.flop_per_second[kind], 'FLOP/s')} ({kind})" for kind in precisions]
    parts = [f"bytes at {rate(target.bytes_per_second, 'B/s')}", f"FLOP at {' or '.join(peaks)}"]
    after = ""
    if target.platform == "cuda":
        parts.append(f"{1e6 * LAUNCH_SECONDS:g} us a kernel")
        after = (
            f" The {1e6 * LAUNCH_SECONDS:g} us between two launches are an assumption; with CUDA graphs they are fewer, "
            "and the column without launches leaves them out. Maps that stay in the L2 cache can be faster than bytes."
        )
    elif target.cycles_per_second:
        parts.append(f"cycles at {target.cycles_per_second / 1e9:.2f} GHz")
    else:
        after = f" The clock of {target.title} is not published, so cycles are not turned into time."
    return [f"At least: the longest of {', '.join(parts)} ({target.source}).{after}{_products(plan)}"]


def _products(plan: CompiledPlan) -> str:
    """What f32 means in these programs, and where the data sheet's figure is of something faster."""
    ordinary = "TF32" if plan.target.platform == "cuda" else "one pass of bf16"
    chosen = {line.config.matmul_precision for line in plan.lines if line.config.precision == "f32"}
    text = f" Products of f32: {ordinary}, XLA's default." if "default" in chosen else ""
    if slower := " or ".join(sorted(chosen - {"default"})):
        text += f" Products of f32 with matmul_precision={slower} are bounded as if each took {ordinary}."
    return text


def as_csv(plan: CompiledPlan) -> str:
    """One line for each run, in plain numbers."""
    first = ("study", "row", "seed", "state", "step", "total_steps", "target", "devices", "program")
    memory = ("steps_a_call", "temporary_bytes", "peak_bytes", "argument_bytes", "needed_bytes", "memory_bytes")
    counts = ("kernels", "small_kernels", "traffic_bytes", "collectives", "collective_bytes", "collective_dtypes")
    bounds = ("cycles", "flop", "step_seconds", "bound", "step_seconds_without_launches", "run_seconds")
    rows = (_plain(run, line) for line in plan.lines for run in line.runs)
    return grid.as_csv((*first, *memory, *counts, *bounds), rows)


def _plain(run: Run, line: CompiledLine) -> list:
    config, program, bound = run.config, line.program, line.bound
    known = [
        config.study, config.row, config.seed, run.state, run.step, config.recipe.total_steps,
        line.target.name, line.devices, line.figures.program[:12],
    ]  # fmt: skip
    if isinstance(program, str) or bound is None:
        return known + [None] * 18
    number, sent, dtypes = program.collectives
    return known + [
        program.steps, program.temporary_bytes, program.peak_bytes, program.argument_bytes, program.needed_bytes,
        round(line.target.memory_bytes), round(program.kernel_count, 2), round(program.small_count, 2),
        round(program.traffic_bytes), round(number, 2), round(sent), " ".join(dtypes),
        None if program.cycles is None else round(program.cycles), line.flop_a_step // line.devices,
        bound.seconds, bound.reason, bound.without("launches").seconds, _run_seconds(line),
    ]  # fmt: skip
