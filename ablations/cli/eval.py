"""`ablations eval`: the test error of a finished run, from its weights."""

import json
from dataclasses import asdict
from pathlib import Path

from ablations.config import quoting
from ablations.config.run import from_resolved
from ablations.data.config import DataConfig
from ablations.errors import UserError
from ablations.runs.folder import RunFolder
from ablations.runs.record import tested

HELP = """\
ablations eval run=RUNS_DIR/STUDY/ROW/seed=K [data=NAME] [data.KEY=...]
ablations eval weights=FILE [data=NAME] [data.KEY=...]

Tests the weights of a finished run, or of a file that `ablations export` or
`import` wrote, on the test set that belongs to them or on another one of the
same kind.

    ablations eval run=runs/table1/identity/seed=0
    ablations eval run=runs/table1/identity/seed=0 data.split=train_val
    ablations eval weights=resnet50.safetensors \\
        data=image_folder data.root=pictures
"""


def command(arguments: list[str]) -> None:
    """Test the weights of run=FOLDER, or of weights=FILE, on their test set, or on the data set of data=..."""
    sources = [quoting.setting(a, "eval") for a in arguments if a.startswith(("run=", "weights="))]
    data_overrides = [a for a in arguments if a.startswith(("data=", "data."))]
    if len(sources) != 1 or len(sources) + len(data_overrides) < len(arguments):
        raise UserError(
            "eval needs run=RUNS_DIR/STUDY/ROW/seed=K or weights=FILE, and takes only data=... and data.KEY=... besides"
        )
    [(kind, source)] = sources
    record, path = RunFolder(Path(source)).finished() if kind == "run" else (None, Path(source))
    from ablations.training import restore, weights

    trained = from_resolved(record["config"]) if record else weights.configuration(path)
    data = _data(trained.data, data_overrides) if data_overrides else trained.data
    steps, state = restore.weights_file(path, trained, data)
    from ablations.training.evaluation import GUESSES, test

    config, dataset = steps.config, steps.dataset
    for pixels in config.data.test_crops or [None]:
        score = test(steps, state, pixels, lambda name: print(f"{name} is broken: skipped"))
        test_set = f"{config.data.name}, {config.data.split}" + (f", crops of {pixels} pixels" if pixels else "")
        guesses = GUESSES if dataset.streamed and dataset.classes > GUESSES else 1
        print(f"{source} on {test_set}: {score.in_words(guesses)}")
    if record and not data_overrides:
        print(f"its record: {tested(record)}")


def _data(trained: DataConfig, overrides: list[str]) -> DataConfig:
    """The configuration of the data set to test on; without data=..., the one trained on with other settings."""
    from ablations.config.compose import compose, hydra, parse
    from ablations.config.overrides import check_single

    if not any(override.startswith("data=") for override in overrides):
        settings = {f"data.{key}": json.dumps(value, ensure_ascii=False) for key, value in asdict(trained).items()}
        name = settings.pop("data.name")
        overrides = [f"data={name}", *(f"{key}={value}" for key, value in settings.items()), *overrides]
    with hydra() as context:
        check_single(context, overrides)
        return parse(compose(context, overrides)).data
