"""A plan as text: for a terminal, in Markdown, as CSV."""

from itertools import groupby

from ablations.config.run import Config
from ablations.costs import cost
from ablations.data import catalogue
from ablations.launch.plan import STATES, Line, Plan, Run
from ablations.terminal import grid
from ablations.terminal.units import duration, scientific, size

FORMATS = ("terminal", "markdown", "csv")
COLOURS = {"done": "green", "running": "cyan", "interrupted": "yellow", "missing": "", "unreadable": "red"}

RIGHT = (
    "steps",
    "batch",
    "parameters",
    "MACs",
    "FLOP a run",
    "activations",
    "memory a device",
    "program",
    "time a run",
)


def aspects(config: Config) -> dict[str, str]:
    """The settings in which rows may differ, apart from their names, as text."""
    model, recipe, (train, _) = config.model, config.recipe, catalogue.sizes(config.data)
    image_size = "x".join(map(str, catalogue.kind(config.data).image[:2]))
    return {
        "model": model.label,
        "data": f"{config.data.name} ({train:,} images of {image_size})",
        "recipe": recipe.name,
        "steps": f"{recipe.total_steps:,}",
        "batch": str(recipe.batch_size),
        "precision": config.precision,
        "matmul": config.matmul_precision,
        "devices": str(config.devices or ""),
    }


def name(config: Config) -> str:
    """The name of a row; in a study, without the settings that the command gave to all rows."""
    return config.row if config.study == "single" else config.row.partition(",")[0]


def varied(plan: Plan) -> list[dict[str, str]]:
    """Of each row the settings that not all rows share, as text."""
    settings = [aspects(line.config) for line in plan.lines]
    chosen = [aspect for aspect in settings[0] if len({values[aspect] for values in settings}) > 1]
    if all(values["model"] in name(line.config) for values, line in zip(settings, plan.lines, strict=True)):
        chosen = [aspect for aspect in chosen if aspect != "model"]
    return [{aspect: values[aspect] for aspect in chosen} for values in settings]


def numbered(plan: Plan) -> list[str]:
    """The number of each row's program."""
    numbers = {program: str(number) for number, program in enumerate(dict.fromkeys(plan.programs), 1)}
    return [numbers[program] for program in plan.programs]


def cells(plan: Plan) -> list[dict]:
    """The cells of each row, by heading; settings that all rows share stand in the title instead."""
    return [
        {
            "row": name(line.config),
            **settings,
            "parameters": f"{line.figures.parameters:,}",
            "MACs": f"{line.figures.macs / 1e6:,.1f} M"
            if line.figures.macs < 1e10
            else f"{line.figures.macs / 1e9:,.1f} G",
            "FLOP a run": scientific(line.flop),
            "activations": size(line.timing.temporary_bytes) if line.timing else "-",
            **({"memory a device": _memory(line)} if any(line.config.devices for line in plan.lines) else {}),
            "program": number,
            "time a run": duration(line.seconds),
            "seeds": seeds(line),
        }
        for line, settings, number in zip(plan.lines, varied(plan), numbered(plan), strict=True)
    ]


def _memory(line: Line) -> str:
    """All the memory that a step needs on a device: state, images, activations."""
    return size(line.timing.program_bytes) if line.timing else "-"


def seeds(line: Line):
    """How far the runs of a row are, in colours, such as 0-2 done; 3 interrupted at 220; 4 missing."""
    from rich.text import Text

    texts = []
    for (state, step), runs in groupby(line.runs, lambda run: (run.state, run.step if run.state != "done" else 0)):
        numbers = sorted(run.config.seed for run in runs)
        consecutive = len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1
        names = f"{numbers[0]}-{numbers[-1]}" if consecutive else ", ".join(map(str, numbers))
        texts.append(Text(f"{names} {state}" + (f" at {step:,}" if step else ""), COLOURS[state]))
    return Text("; ").join(texts)


def title(plan: Plan, *, without: str = "") -> str:
    """The study and what all rows share, without one of these aspects."""
    settings = [aspects(line.config) for line in plan.lines]
    shared = {aspect: value for aspect, value in settings[0].items() if len({row[aspect] for row in settings}) == 1}
    shared.pop(without, None)
    forms = {
        "recipe": "recipe {}",
        "steps": "{} steps",
        "batch": "batches of {}",
        "devices": "spread over {}",
        "matmul": "matmul_precision {}",
    }
    ordinary = {("matmul", "default")}  # not worth a word
    words = [
        forms.get(aspect, "{}").format(value)
        for aspect, value in shared.items()
        if value and (aspect, value) not in ordinary
    ]
    return ", ".join([plan.lines[0].config.study, *words])


def counted(plan: Plan) -> str:
    """How many runs there are, in which states, and how many programs."""
    runs, programs = plan.runs, plan.program_count
    counts = {state: sum(run.state == state for run in runs) for state in STATES}
    states = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number)
    count = f"{len(runs):,} run{'s' * (len(runs) > 1)}"
    return f"{count}: {states}. {programs:,} distinct compiled training program{'s' * (programs > 1)}."


def notes(plan: Plan) -> list[str]:
    """The notes below a plan: the sums, and what the figures mean."""
    runs, timed = plan.runs, [line.timing for line in plan.lines if line.timing]
    lines = [counted(plan)]
    if any(run.steps_left for run in runs):
        parts = max((timing.parts for timing in timed), default=1)
        machine = f"{parts} devices like the one here" if parts > 1 else "this machine"
        time = f"{duration(plan.seconds_left)} on {machine}, {plan.at_a_time} at a time; " if timed else ""
        lines.append(f"To go: {scientific(plan.flop_left)} FLOP; {time}{size(plan.disk_bytes)} of disk.")
    lines.append(
        f"FLOP: {cost.FLOP_PER_MAC_TRAINED} x MACs x images trained on (a multiply-add counts as 2, the backward "
        "pass as two forward passes). Tests count in the time only."
    )
    if measured := [timing for timing in timed if not timing.reason]:
        lines.append(
            "Time: from a few steps of each program with synthetic images, measured with nothing else running "
            f"({measured[0].device}, {min(timing.measured for timing in measured)[:10]}); "
            "start, compilation and tests are included."
        )
    if split := [(line, line.timing.parts) for line in plan.lines if line.timing and line.timing.parts > 1]:
        first, parts = split[0]
        images = first.config.recipe.batch_size // parts
        most = max(cost.exchange_bytes(line.figures, devices, line.config.precision) for line, devices in split)
        lines.append(
            f"Memory and time: for one of {parts} devices, with its {images} images of a batch, measured on one device "
            f"here. Communication is not included: each device sends up to {size(most)} of gradients a step, and BN's "
            "moments if a group of images spans devices."
        )
    if timed:
        lines.append("Activations: XLA's own figure for the temporary memory of one compiled training step.")
    else:
        lines.append("To see time and activations, measure a short run of each program with calibrate=true.")
    for line in plan.lines:
        if line.timing and line.timing.reason:
            lines.append(f"Not timed: {name(line.config)}: {line.timing.reason}.")
    return lines + [run.note for run in runs if run.note]


def as_csv(plan: Plan) -> str:
    """One line for each run, in plain numbers."""
    names = ("study", "row", "seed", "state", "step", "total_steps", "parameters", "macs", "flop", "activation_bytes")
    names += ("program", "step_seconds", "run_seconds", "devices", "device_bytes")
    return grid.as_csv(names, (_plain(run, line) for line in plan.lines for run in line.runs))


def _plain(run: Run, line: Line) -> list:
    figures, timing, config = line.figures, line.timing, run.config
    measured = timing.temporary_bytes if timing else None
    return [
        config.study, config.row, config.seed, run.state, run.step, config.recipe.total_steps,
        figures.parameters, figures.macs, line.flop, measured, figures.program[:12],
        timing.step_seconds if timing else None, line.seconds,
        config.devices, timing.program_bytes if timing else None,
    ]  # fmt: skip
