"""Why a network learns or fails: what `ablations probe` and `ablations lesion` measure, for Python."""

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
    """A measurement, with the entries of its JSON file: a dictionary that shows itself as a table.

    >>> before = ab.probe(config, images=8)
    >>> len(before["units"]["gradient"]), before["at"]
    (3, 'start')
    """

    def __init__(self, kind: str, values: dict):
        self.kind, self._values = kind, values

    def __getitem__(self, key: str):
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def figure(self) -> display.Figure:
        """Its figure, as the command draws it with format=svg."""
        from ablations.reports import analysis_figures  # matplotlib

        title = f"{self.kind.capitalize()} of {self['name']}"
        return display.Figure(title, lambda form: analysis_figures.of_run(self.kind, self._values, form))

    def __repr__(self) -> str:
        table = analysis_tables.of_run(self.kind, self._values)
        return grid.markdown(table.title, table.cells, table.notes).rstrip()

    def _repr_html_(self) -> str:
        table = analysis_tables.of_run(self.kind, self._values)
        return display.html_grid(table.title, table.header, table.rows, table.notes)


def probe(target: Config | Run | str | Path, *, images: int = 64, force: bool = False) -> Measurement:
    """Signal and gradient in every unit, of the untrained network of a configuration, or of a run.

    images: how many images of the training set, which must be on this machine.
    A run's probe is kept in its folder as probe.json, as by the command, and read from there; force measures again.

    ["units"] has lists with one number for each unit: "gradient", the norm of dE/dx; "through_shortcuts" and
    "through_weights", the norms of its two parts (Eqn. 5); "predicted", what is left of the first part by Eqn. 8;
    "x_std", "residual_std".

    Raises UserError if there is no such run, or the training set has fewer images.

    >>> ab.probe(config, images=8).figure()
    <figure: Probe of shortcut=exclusive_gating model=resnet20 model.depth=8; save('NAME.svg') writes it>
    """
    return _measured("probe", target, {"images": images}, force)


def lesion(
    run: Run | str | Path, *, k: int | None = None, draws: int = 20, paths: int = 256, force: bool = False
) -> Measurement:
    """Test a trained network without each unit, without k random units, and with k pairs of units swapped.

    k: the largest number of units or pairs, None for 20 or all. draws: random choices for each number.
    paths: images for the gradients along paths of each length.
    The result is kept in the run's folder as lesion.json, and read from there; force measures again.

    Errors in percent: ["whole"]; ["without_unit"] and ["without_residual"], with one number for each unit, None if it
    cannot be deleted; ["deletions"] and ["swaps"], with a list over the draws for each of 1 ... k.

    Raises UserError if there is no such run, or k units cannot be deleted.

    >>> tested = ab.lesion(run, k=1, draws=1, paths=8)
    >>> len(tested["without_unit"]), abs(tested["whole"] - run.record["test_error_percent"]) < 0.01
    (3, True)
    """
    return _measured("lesion", run, {"k": k, "draws": draws, "paths": paths}, force)


def _measured(kind: str, target: Config | Run | str | Path, options: dict, force: bool) -> Measurement:
    if isinstance(target, Config):
        name = " ".join(word for word in settings_of(target) if not word.startswith("row="))
        subject, folder = Subject(name or "the default network", target), None
    else:
        folder = target.folder if isinstance(target, Run) else Path(os.fspath(target))
        subject = of_run(RunFolder(folder), trained=kind != "probe")
    words = " ".join(f"{key}={value}" for key, value in options.items() if value is not None)
    with called_as(f"ablations.{kind}({subject.name} {words})"):
        return Measurement(kind, measured(kind, subject, options, folder, force, say=lambda _: None))
