"""`ablations eval`: the test error of a finished run, from its weights."""

import json
from dataclasses import asdict
from pathlib import Path

from ablations.config.run import from_resolved
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.runs.record import tested

HELP = """\
ablations eval run=RUNS_DIR/STUDY/ROW/seed=K [data=NAME] [data.KEY=...]

Tests the weights of a finished run, on its own test set or on another one of the same kind.

    ablations eval run=runs/table1/identity/seed=0
    ablations eval run=runs/table1/identity/seed=0 data.split=train_val
"""


def command(arguments: list[str]) -> None:
    """Test the weights of run=FOLDER on its test set, or on the data set of data=..."""
    folder = [a.removeprefix("run=") for a in arguments if a.startswith("run=")]
    data_overrides = [a for a in arguments if a.startswith(("data=", "data."))]
    if len(folder) != 1 or len(folder) + len(data_overrides) < len(arguments):
        raise UserError("eval needs run=RUNS_DIR/STUDY/ROW/seed=K, and takes only data=... and data.KEY=... besides")
    folder = RunFolder(Path(folder[0]))
    record, _ = folder.finished()
    trained_on = from_resolved(record["config"]).data
    data = _data(trained_on, data_overrides) if data_overrides else trained_on
    from ablations.training import restore

    steps, state, _ = restore.run(folder, data)
    from ablations.training.evaluation import GUESSES, test

    config, dataset = steps.config, steps.dataset
    for pixels in config.data.test_crops or [None]:
        score = test(steps, state, pixels, lambda name: print(f"{name} is broken: skipped"))
        test_set = f"{config.data.name}, {config.data.split}" + (f", crops of {pixels} pixels" if pixels else "")
        guesses = GUESSES if dataset.streamed and dataset.classes > GUESSES else 1
        print(f"{folder} on {test_set}: {score.in_words(guesses)}")
    if not data_overrides:
        print(f"its record: {tested(record)}")


def _data(trained: DataConfig, overrides: list[str]) -> DataConfig:
    """The configuration of the data set to test on; without data=..., the one trained on with other settings."""
    from ablations.config.compose import compose, hydra, parse

    if not any(override.startswith("data=") for override in overrides):
        settings = {f"data.{key}": json.dumps(value, ensure_ascii=False) for key, value in asdict(trained).items()}
        name = settings.pop("data.name")
        overrides = [f"data={name}", *(f"{key}={value}" for key, value in settings.items()), *overrides]
    with hydra() as context:
        return parse(compose(context, overrides)).data
