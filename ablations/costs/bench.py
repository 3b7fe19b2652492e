"""How fast configurations train on this machine, compared with what the machine can do.

Synthetic images; each configuration in a process of its own, with a compilation cache that starts empty.
"""

import json
import statistics
from dataclasses import asdict, dataclass

from ablations.config.run import Config
from ablations.costs import calibrate, cost
from ablations.costs.cost import Ceilings, Figures, Timing
from ablations.data import catalogue
from ablations.runs.provenance import commit, versions
from ablations.setting import speed
from ablations.terminal.bar import bar
from ablations.terminal.units import rate, short, size

FORMATS = ("terminal", "markdown", "json")
RIGHT = ("images/s", "step", "trace", "compile", "first step", "cached", "program", "peak", "FLOP/s", "bytes/s")


@dataclass(frozen=True)
class Result:
    """The measurements of a configuration. What could not be measured is None."""

    config: Config
    figures: Figures
    timing: Timing
    ceilings: Ceilings
    pixels: int | None = None

    @property
    def name(self) -> str:
        config, pixels = self.config, self.pixels or catalogue.kind(self.config.data).image[0]
        parts = [config.model.label, config.activation.name, config.shortcut.name, f"{pixels}x{pixels}"]
        parts += [
            f"batch {config.recipe.batch_size}",
            config.precision,
            *(["unrolled"] if config.unroll is True else []),
        ]
        parts += [f"matmul {config.matmul_precision}"] if config.matmul_precision != "default" else []
        parts += ["remat"] if config.remat else []
        parts += ["deterministic"] if config.deterministic else []
        parts += [f"{self.runs} runs, {config.packing}"] if self.runs > 1 else []
        return ", ".join(parts)

    @property
    def runs(self) -> int:
        """The number of runs that share the device."""
        return 1 if self.config.packing == "auto" else self.config.runs_at_a_time or 1

    @property
    def images_per_second(self) -> float | None:
        return self._per_step(self.config.recipe.batch_size)

    @property
    def flop_per_second(self) -> float | None:
        return self._per_step(cost.flop(self.config, self.figures, 1))

    @property
    def bytes_per_second(self) -> float | None:
        return self._per_step(self.figures.traffic_bytes)

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """The first and third quartiles of the seconds of a step."""
        steps = self.timing.steps
        if len(steps) < 2:
            return (steps[0], steps[0]) if steps else None
        first, _, third = statistics.quantiles(steps, n=4, method="inclusive")
        return first, third

    def _per_step(self, amount: float) -> float | None:
        return self.runs * amount / self.timing.step_seconds if self.timing.step_seconds else None


def run(configs: list[Config], pixels: int | None = None) -> list[Result]:
    """Measure configurations, one after the other, each in its own process."""
    ceilings, results = {}, []
    with bar("measuring", len(configs), "configurations") as update:
        update(0)
        for config, figures in zip(configs, list(calibrate.request(Figures, configs, pixels)), strict=True):
            kind = config.precision, config.matmul_precision, config.threads
            if kind not in ceilings:
                [ceilings[kind]] = calibrate.request(Ceilings, [config])
            try:
                timing = calibrate.short_run(config, pixels)
            except calibrate.Died as error:
                timing = Timing(reason=str(error))
            results.append(Result(config, figures, timing, ceilings[kind], pixels))
            update(len(results))
    return results


def title(results: list[Result]) -> str:
    return f"{results[0].ceilings.device}, jax {versions()['jax']}, commit {commit()[:12]}"


def cells(results: list[Result]) -> list[dict[str, str]]:
    return [
        {
            "configuration": result.name,
            "images/s": "-" if result.images_per_second is None else f"{result.images_per_second:,.0f}",
            "step": short(result.timing.step_seconds),
            "quartiles": "" if result.quartiles is None else " ... ".join(map(short, result.quartiles)),
            "trace": short(result.timing.trace_seconds),
            "compile": short(result.timing.compile_seconds),
            "first step": short(result.timing.start_seconds),
            "cached": short(result.timing.start_again_seconds),
            "program": size(result.timing.program_bytes),
            "peak": size(result.timing.peak_bytes),
            "FLOP/s": _with_percent(result.flop_per_second, result.ceilings.flop_per_second, "FLOP/s"),
            "bytes/s": _with_percent(result.bytes_per_second, result.ceilings.bytes_per_second, "B/s"),
        }
        for result in results
    ]


def _with_percent(achieved: float | None, ceiling: float, unit: str) -> str:
    return "-" if achieved is None else f"{rate(achieved, unit)} ({100 * achieved / ceiling:.0f} %)"


def notes(results: list[Result]) -> list[str]:
    """The notes below the table."""
    lines = ["Step: the median of the steps after the first call, with synthetic images of the data set's shape."]
    lines.append(
        "First step: until everything is compiled, without importing JAX; cached: the same from the compilation cache."
    )
    lines.append(
        "Program: memory of a compiled step by XLA's analysis; peak: the most that the device or, on a CPU, the "
        "process held."
    )
    for result in {(r.ceilings.precision, r.config.matmul_precision, r.config.threads): r for r in results}.values():
        ceilings, config = result.ceilings, result.config
        precision = ceilings.precision
        if config.matmul_precision != "default":
            precision += f", matmul_precision={config.matmul_precision}"
        lines.append(
            f"Percent: of the ceilings measured here ({precision}, {config.threads} threads on a CPU): "
            f"a matrix product {rate(ceilings.flop_per_second, 'FLOP/s')}, a copy "
            f"{rate(ceilings.bytes_per_second, 'B/s')}."
        )
    if any(result.runs > 1 for result in results):
        lines.append(
            "With several runs at a time, images, FLOP and bytes are those of all runs; a step is one of each run."
        )
    lines.append(
        "FLOP: 6 x MACs x images. Bytes: read and written by convolutions and matrix products; the real traffic is "
        "higher."
    )
    lines += [f"Not measured: {r.name}: {r.timing.reason}." for r in results if r.timing.reason]
    return lines


def as_json(results: list[Result]) -> str:
    """Everything measured, in seconds, bytes and plain numbers."""
    measured = [
        {
            "configuration": result.name,
            "config": result.config.resolved() | speed(result.config),
            "pixels": result.pixels or catalogue.kind(result.config.data).image[0],
            "images_per_second": result.images_per_second,
            "step_seconds": result.timing.step_seconds,
            "step_seconds_quartiles": result.quartiles,
            "flop_per_second": result.flop_per_second,
            "bytes_per_second": result.bytes_per_second,
            "figures": asdict(result.figures),
            "timing": asdict(result.timing),
            "ceilings": asdict(result.ceilings),
        }
        for result in results
    ]
    return json.dumps({"commit": commit(), "versions": versions(), "results": measured}, indent=2) + "\n"
