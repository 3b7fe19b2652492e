"""A search: a sweeper of one of Hydra's plugins proposes values, batch after batch, and is told what they give.

It is a study whose rows the sweeper chooses, so what is proposed twice is trained once; `search_file.py` is that study.
"""

import contextlib
import logging
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from ablations.config import jobs as sweep
from ablations.config import quoting
from ablations.config import study as studies
from ablations.config import sweeper as sweepers
from ablations.config.compose import compose
from ablations.config.overrides import check_hydras, key_of
from ablations.config.run import Config, listed_objectives
from ablations.errors import UserError
from ablations.launch import optuna, search_file
from ablations.launch.search_file import SearchFile
from ablations.launch.trials import Together, Trials
from ablations.setting import decides
from ablations.system import interrupt, lock
from ablations.terminal import grid
from ablations.terminal.output import tell

NAME = "search"  # of a search without a name
SHOWN = 10  # trials at the end of a search


def is_search(context: GlobalHydra, overrides: list[str]) -> bool:
    """Whether a command chooses a sweeper that searches."""
    return not sweepers.is_basic(sweepers.chosen(context, sweepers.read(context, overrides)))


def train(context: GlobalHydra, overrides: list[str]) -> int:
    """Let the sweeper that a command chooses search, and show what it found. Returns the exit code.

    Raises UserError for what cannot be searched, and if the sweeper gives up because a trial has no result.
    """
    given = list({o.key_or_group: o for o in sweepers.read(context, overrides)}.values())  # the last of each
    name = _name(given)
    asked = [str(o.input_line) for o in given if o.key_or_group not in ("study", "seed", "seeds")]
    master = compose(context, asked)
    check_hydras(master.hydra, but=("sweep.dir",))
    _check_searched(context, given)
    trials = _trials(context, master, given, name or master.hydra.sweeper.get("study_name") or NAME)
    trials.file.rows()  # before anything is written
    if optuna.is_optuna(master.hydra.sweeper):
        optuna.check(master.hydra.sweeper, trials.objectives)
    folder = trials.file.path.with_suffix("")
    if not any(word.startswith("hydra.sweep.dir=") for word in asked):
        master.hydra.sweep.dir = str(folder)
    with _place(folder, Path(master.hydra.sweep.dir)) as alone, interrupt.listening() as stop, _quiet():
        try:
            _sweep(context, master, trials, alone=alone)
        except interrupt.Interrupted as error:
            tell(f"ablations: {error}")
    _show(trials)
    return stop.exit_code or 0


def _sweep(context: GlobalHydra, master: DictConfig, trials: Trials, *, alone: bool) -> None:
    target, is_optuna = master.hydra.sweeper._target_, optuna.is_optuna(master.hydra.sweeper)
    try:
        if is_optuna:
            optuna.resume(master.hydra.sweeper, alone=alone)
        # Hydra accepts launchers of its plugins only; a sweeper asks for one when it is made.
        with patch.object(Plugins.instance(), "instantiate_launcher", lambda *_, **__: Together(trials.train)):
            sweeper = Plugins.instance().instantiate_sweeper(
                hydra_context=HydraContext(config_loader=context.config_loader(), callbacks=Callbacks()),
                task_function=lambda _: None,  # which only a launcher calls
                config=master,
            )
        if is_optuna:
            optuna.quiet()
        sweeper.sweep(list(master.hydra.overrides.task))
    except Exception as error:
        if error is trials.error:
            raise
        if any(error is failure for failure in trials.failures):
            go_on = "; hydra.sweeper.max_failure_rate=1 goes on after such a trial" if is_optuna else ""
            raise UserError(f"{error}, so the sweeper ended the search; what was finished is kept{go_on}") from None
        raise UserError(f"{target}: {type(error).__name__}: {error}") from error


def _check_searched(context: GlobalHydra, given: list[Override]) -> None:
    """Raise UserError if what the sweeper is to search is no setting, or no values that it can take."""
    swept = [override for override in given if override.is_sweep_override()]
    groups = [override for override in swept if sweepers.is_group(context, override)]
    single = [o for o in given if not o.is_sweep_override() and o.key_or_group not in sweep.OF_JOBS]
    for override in (o for o in swept if o.key_or_group not in sweep.OF_JOBS):
        word, key, values = override.input_line, override.key_or_group, override.value()
        if isinstance(values, Glob):
            listed = f"{key}=choice({','.join(map(str, override.sweep_iterator()))})"
            raise UserError(f"{word}: a search takes a list of choices: {shlex.quote(listed)}")
        if isinstance(values, IntervalSweep):
            low, high = values.start, values.end
            if low is None or high is None or not low <= high:
                raise UserError(f"{word}: an interval has a lower and a higher end, as '{key}=interval({high},{low})'")
            first = f"{key}={low}"
        else:
            first = f"{key}={next(override.sweep_string_iterator())}"
        if all(group is override for group in groups):  # else another choice may have the setting
            try:
                compose(context, [*(str(o.input_line) for o in single), first])
            except UserError as error:
                if "there is no such setting" in str(error):
                    raise


def _name(given: list[Override]) -> str | None:
    """The name that a command gives its search; None if it gives none."""
    words = {override.key_or_group: str(override.input_line) for override in given}
    if "row" in words:
        raise UserError(f"{words['row']}: a search makes its own rows; leave it out")
    name = words["study"].partition("=")[2].strip("'\"") if "study" in words else None
    if name is not None and (name in studies.names() or not name or "/" in name or name.endswith(".yaml")):
        raise UserError(
            f"study={name}: a search makes its own study; choose a new name for it, as study=my_search, or leave out the "
            "sweeper"
        )
    return name


def _trials(context: GlobalHydra, master: DictConfig, given: list[Override], name: str) -> Trials:
    """The search that a command asks for, before its first trial. Raises UserError if it names an unknown objective."""
    try:
        objectives = listed_objectives(master.objective)
    except ValueError as error:
        raise UserError(str(error)) from error
    default = compose(context, [])
    own = [o for o in given if not o.key_or_group.startswith(("study", "hydra/sweeper", "hydra.sweep"))]
    is_seed = {o.key_or_group: o.key_or_group in ("seed", "seeds") for o in own}
    single = [o for o in own if not o.is_sweep_override() and not o.is_hydra_override() and not is_seed[o.key_or_group]]
    common = [o for o in single if decides(Config, o.key_or_group)]
    others = [o for o in single if o not in common]
    words = [str(o.input_line) for o in own if o.is_hydra_override() or is_seed[o.key_or_group] or o in others]
    file = SearchFile(
        path=Path(master.runs_dir) / f"{name}.yaml",
        common=tuple(f"{key_of(o, default)}={o.get_value_element_as_str()}" for o in common),
        seeds=len(sweep.seeds_of(context, words)),
        chooses=master.data.split == "train_val",
    )
    if "error" in objectives and not file.chooses:
        tell(
            "ablations: this search chooses by the errors of the test set; data.split=train_val takes those of images that "
            "are held out, and leaves the test set for the result"
        )
    return Trials(context, file, frozenset(o.get_key_element() for o in single), words, objectives)


@contextlib.contextmanager
def _place(folder: Path, of_sweeper: Path) -> Iterator[bool]:
    """Make the folders of a search; the first goes again if it stays empty. Yields whether no other process uses it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        of_sweeper.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename} cannot be made: {error.strerror}; choose another runs_dir=...") from error
    with lock.hold(folder) as alone:
        try:
            yield alone
        finally:
            if alone:  # else they are another search's
                with contextlib.suppress(OSError):
                    if [path.name for path in folder.iterdir()] == [lock.FILE]:
                        (folder / lock.FILE).unlink()
                        folder.rmdir()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep plugins from warning of their own code, and from saying again what a message here says."""
    logging.getLogger("hydra_plugins").addHandler(logging.NullHandler())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"hydra_plugins|optuna|sqlalchemy|alembic")
        yield


def _show(trials: Trials) -> None:
    """Print the best trials, and what to type to see and do more."""
    found, several, file = trials.found(), len(trials.objectives) > 1, trials.file
    if not found:
        return
    best = [pair for pair in found if not any(_beats(other, pair[1]) for _, other in found)] if several else found
    heads = [f"{name} (%)" if name == "error" else name for name in trials.objectives]
    rows = [
        row.settings | dict(zip(heads, (f"{number:.4g}" for number in values), strict=True))
        for row, values in best[:SHOWN]
    ]
    keys = tuple(dict.fromkeys(key for row in rows for key in row))
    where = {"study": file.path} | ({} if file.path.parent == Path("runs") else {"runs_dir": file.path.parent})
    line = shlex.join(f"{key}={quoting.path(str(path))}" for key, path in where.items())
    notes = [
        f"All trials: ablations table {line}",
        f"Their errors against the values: ablations figure {line}",
    ]
    if file.chooses:
        seeds = "".join(f" {word}" for word in trials.words if word.startswith(("seed=", "seeds=")))
        best_row = f"ablations train {line} row={search_file.BEST}{seeds}"
        notes.append(f"The lowest error's values, trained on all images and tested on the test set: {best_row}")
    what = "of which none is better in everything" if several else "the best first"
    how_many = f"{len(rows)} of {len(found)} trial{'s' * (len(found) > 1)}"
    grid.show(
        f"{file.path.stem}: {how_many}, {what}",
        [{key: row.get(key, "") for key in keys} for row in rows],
        keys,
        notes,
    )


def _beats(values: list[float], others: list[float]) -> bool:
    """Whether no value is higher and one is lower."""
    return values != others and all(mine <= theirs for mine, theirs in zip(values, others, strict=True))
