"""hydra/sweeper=optuna: what its plugin leaves open, so that a search that is typed again goes on where it was stopped.

Without a storage, its sampler begins with a seed: it proposes the same values again, whose runs are done or go on. With
one, it is told how many trials are left, and first those that were stopped.
"""

import logging
import warnings
from importlib import metadata

from omegaconf import DictConfig, ListConfig

from ablations.errors import UserError


def is_optuna(sweeper: DictConfig) -> bool:
    return sweeper._target_.endswith(".OptunaSweeper")


def check(sweeper: DictConfig, objectives: list[str]) -> None:
    """Raise UserError if the sweeper expects other objectives, or could not use its storage."""
    given = sweeper.direction
    directions = [str(getattr(one, "name", one)) for one in (given if isinstance(given, ListConfig) else [given])]
    needed = ["minimize"] * len(objectives)
    if directions != needed:
        needed = f"[{','.join(needed)}]" if len(needed) > 1 else needed[0]
        raise UserError(
            f"hydra.sweeper.direction={','.join(directions)}: for objective={','.join(objectives)} it is "
            f"hydra.sweeper.direction={needed}; several objectives are a list, as objective=[error,seconds]"
        )
    if sweeper.storage is not None and int(metadata.version("sqlalchemy").partition(".")[0]) > 1:
        raise UserError(
            "hydra.sweeper.storage: this optuna cannot use SQLAlchemy 2: pip install 'ablations[optuna]', which has an "
            "older one"
        )


def resume(sweeper: DictConfig, *, alone: bool) -> int:
    """Let this search go on where it was stopped. Returns how many trials its storage has finished.

    alone: whether no other process works on it; else trials that are begun are left to their process.
    """
    if sweeper.storage is None or sweeper.study_name is None:
        if "seed" in sweeper.sampler and sweeper.sampler.seed is None:
            sweeper.sampler.seed = 0
        return 0
    import optuna
    from optuna.trial import TrialState

    quiet()
    try:
        study = optuna.load_study(study_name=sweeper.study_name, storage=sweeper.storage)
    except KeyError:  # there is none of this name yet
        return 0
    trials = study.get_trials(deepcopy=False)
    for trial in trials if alone else ():
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.enqueue_trial(trial.params)
    finished = sum(trial.state == TrialState.COMPLETE for trial in trials)
    sweeper.n_trials = max(0, sweeper.n_trials - finished)
    return finished


def quiet() -> None:
    """Keep optuna from saying on each start that it found its study; call it once optuna is imported."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
