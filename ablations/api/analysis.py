"""Why a network learns or fails: what `ablations probe` and `ablations lesion` measure, from Python."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ablations.analysis.measurement import measured
from ablations.analysis.subject import Subject, of_run
from ablations.api import display
from ablations.api.configuration import settings_of
from ablations.api.runs import Run
from ablations.config.run import Config
from ablations.reports import analysis_tables
from ablations.runs.folder import RunFolder
from ablations.runs.provenance import called_as
from ablations.terminal import grid


class Measurement(Mapping):
    """What was measured, as its JSON file has it: a dictionary that shows itself as a table.

    >>> before = ab.probe(config, images=8)
    >>> len(before["units"]["gradient"]), before["at"]
    (3, 'start')
    """

    def __init__(self, kind: str, found: dict):
        self.kind, self._found = kind, found

    def __getitem__(self, key: str):
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def figure(self) -> display.Figure:
        """The figure of it, as format=svg of the command draws it."""
        from ablations.reports import analysis_figures  # matplotlib

        title = f"{self.kind.capitalize()} of {self['name']}"
        return display.Figure(title, lambda form: analysis_figures.of_run(self.kind, self._found, form))

    def __repr__(self) -> str:
        made = analysis_tables.of_run(self.kind, self._found)
        return grid.markdown(made.title, made.cells, made.notes).rstrip()

    def _repr_html_(self) -> str:
        made = analysis_tables.of_run(self.kind, self._found)
        return display.html_grid(made.title, made.header, made.rows, made.notes)


def probe(of: Config | Run | str | Path, *, images: int = 64, force: bool = False) -> Measurement:
    """Signal and gradient in every unit: of a network before training, given its configuration, or of a run.

    images: so many of the training set, which must be here. Of a run it is kept in its folder, probe.json, as the
    command does, and read from there; force measures again.

    ["units"] has a list over the units each: "gradient", the norm of dE/dx; "through_shortcuts" and "through_weights",
    those of its two parts (Eqn. 5); "predicted", what Eqn. 8 says is left of the first; "x_std", "residual_std".

    Raises UserError where there is no such run, or the training set has fewer images.

    >>> ab.probe(config, images=8).figure()
    <figure: Probe of shortcut=exclusive_gating model=resnet20 model.depth=8; save('NAME.svg') writes it>
    """
    return _measured("probe", of, {"images": images}, force)


def lesion(
    run: Run | str | Path, *, k: int | None = None, draws: int = 20, paths: int = 256, force: bool = False
) -> Measurement:
    """A trained network tested without each unit, without k random ones and with k pairs swapped; nothing is trained.

    k: at most so many, None for 20 or all; draws: random choices of each number; paths: images for the gradients along
    paths of each length. Kept in the run's folder, lesion.json, and read from there; force measures again.

    Errors in percent: ["whole"]; ["without_unit"] and ["without_residual"], a list over the units, None where one cannot
    be deleted; ["deletions"] and ["swaps"], a list over 1 ... k of lists over the draws.

    Raises UserError where there is no such run, or k units cannot be deleted.

    >>> found = ab.lesion(run, k=1, draws=1, paths=8)
    >>> len(found["without_unit"]), abs(found["whole"] - run.record["test_error_percent"]) < 0.01
    (3, True)
    """
    return _measured("lesion", run, {"k": k, "draws": draws, "paths": paths}, force)


def _measured(kind: str, of: Config | Run | str | Path, asked: dict, force: bool) -> Measurement:
    if isinstance(of, Config):
        name = " ".join(word for word in settings_of(of) if not word.startswith("row="))
        subject, place = Subject(name or "the default network", of), None
    else:
        place = of.folder if isinstance(of, Run) else Path(os.fspath(of))
        subject = of_run(RunFolder(place), trained=kind != "probe")
    options = " ".join(f"{key}={value}" for key, value in asked.items() if value is not None)
    with called_as(f"ablations.{kind}({subject.name} {options})"):
        return Measurement(kind, measured(kind, subject, asked, place, force, say=lambda _: None))
