"""The examples in the docstrings of the front door, run one after the other as a reader would, in one folder."""

import doctest

import numpy as np

import ablations as ab
from ablations.api import analysis, configuration, display, networks, runs, training

IN_ORDER = (
    configuration.configure, networks.network, training.train, runs.Run, runs.Runs, runs.Runs.flat, runs.Runs.table,
    runs.Runs.curves, runs.records, display.Table, display.Figure, networks.load, networks.Trained, networks.Trained.step,
    analysis.Measurement, analysis.probe, analysis.lesion,
)  # fmt: skip


def test_every_example_gives_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, parser, runner = (
        {"ab": ab, "np": np},
        doctest.DocTestParser(),
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL),
    )
    for documented in IN_ORDER:
        test = parser.get_doctest(documented.__doc__, names, documented.__qualname__, None, 0)
        assert test.examples, f"{documented.__qualname__} has no example"
        runner.run(test, clear_globs=False)
        names = test.globs
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out


def test_what_the_door_offers_has_an_example_or_is_described():
    for name in ab.__all__:
        offered = getattr(ab, name)
        assert offered.__doc__, name
        if callable(offered) and offered.__module__.startswith("ablations.api") and not issubclass_of_error(offered):
            assert offered in IN_ORDER, f"{name} has no example that is run"


def issubclass_of_error(offered) -> bool:
    return isinstance(offered, type) and issubclass(offered, BaseException)
