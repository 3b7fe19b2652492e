"""The programs of configurations, compiled for a target: each once, in a process of its own, and then kept."""

from ablations.compilers import target as compilers
from ablations.compilers.program import Compiled, Program
from ablations.compilers.target import Target
from ablations.config.run import Config
from ablations.costs import kept
from ablations.costs.calibrate import Died, request
from ablations.costs.cost import Figures
from ablations.data import catalogue
from ablations.terminal.bar import bar

# The files that say what the compiler is told, and how its text is read.
READ_AND_TOLD = (
    *("networks/kernels/convolution", "networks/stack", "training/determinism"),
    *("compilers/compile", "compilers/hlo", "compilers/program"),
)


def programs(lines: list[tuple[Config, Figures]], target: Target) -> list[Program | str]:
    """The program of each configuration, or why it cannot be compiled. figures: read for this target."""
    keys = [_key(config, figures, target) for config, figures in lines]
    answers: dict[str, Program | str] = {key: known.program for key in keys if (known := kept.read(key, Compiled))}
    missing = {key: line for key, line in zip(keys, lines, strict=True) if key not in answers}
    if missing:
        with bar("compiling", len(missing), "programs") as update:
            update(0)
            for done, (key, (config, figures)) in enumerate(missing.items(), 1):
                try:
                    answers[key] = step(config, figures, target).program
                except Died as error:
                    answers[key] = str(error)
                update(done)
    return [answers[key] for key in keys]


def step(config: Config, figures: Figures, target: Target) -> Compiled:
    """The compiled training step of a configuration. Raises Died if it cannot be compiled."""
    key = _key(config, figures, target)
    known = kept.read(key, Compiled)
    if known is None:
        [known] = request(Compiled, [config], target=target)
        kept.keep(key, known)
    return known


def _key(config: Config, figures: Figures, target: Target) -> str:
    """What decides a compiled program: its text, the size of the data, the devices, the compiler and what it is told."""
    count = target.spread(config.devices)
    devices = (target.asked, target.device_info, count, compilers.versions(target.platform))
    told = [config.deterministic, *(kept.source(f"{name}.py") for name in READ_AND_TOLD)]
    return kept.key("compiled", figures.program, catalogue.sizes(config.data), *devices, *told, anywhere=True)
