"""The loss around a solution: its directions, its middle, and what a person sees of it."""

import numpy as np
import optax
import pytest
from flax import nnx

from ablations.analysis import landscape
from ablations.analysis.landscape import direction, surfaces
from ablations.data import catalogue, dataset
from ablations.reports import analysis_tables
from ablations.training.steps import Steps
from ablations_tests import drawn
from ablations_tests.conftest import configure


@pytest.fixture(scope="module")
def steps():
    config = configure("model=resnet20", "model.depth=14", "shortcut=exclusive_gating")
    return Steps(config, catalogue.load(config.data))


def test_a_direction_is_filter_normalised(steps):
    params = drawn.state(steps).params
    one_draw, other = (dict(nnx.to_flat_state(direction(params, seed))) for seed in (0, 1))
    for path, leaf in nnx.to_flat_state(params):
        if path[-1] != "kernel":
            assert not np.any(np.asarray(one_draw[path])), path
            continue
        *stack, filters = (leaf.shape[0],) * ("rest" in path), leaf.shape[-1]
        for unit in np.ndindex(*stack[0]):
            for one in range(0, filters, 7):
                ours, solution = (np.linalg.norm(np.asarray(of)[unit][..., one]) for of in (one_draw[path], leaf))
                assert ours == pytest.approx(solution, rel=1e-4), path
        assert not np.allclose(*map(np.asarray, (one_draw[path], other[path])))


def test_the_solution_stands_in_the_middle(steps, monkeypatch):
    state, traced, loss = drawn.state(steps), [], landscape._loss
    monkeypatch.setattr(landscape, "_loss", lambda *arguments: (traced.append(arguments), loss(*arguments))[1])
    found = surfaces(steps, state, "a network", images=32, directions=2, points=5)
    chosen = dataset.stratified(steps.dataset.train_labels)[:32]
    logits = steps.logits(state, steps.dataset.train_images[chosen])
    labels = steps.dataset.train_labels[chosen]
    assert found["loss"] == pytest.approx(
        float(optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()), rel=1e-4
    )
    assert found["error_percent"] == pytest.approx(100 * (logits.argmax(1) != labels).mean())
    assert found["distances"] == [-1, -0.5, 0, 0.5, 1] and found["plane_distances"] == [-1, 0, 1]
    assert found["lines"][0][2] == found["lines"][1][2] == found["plane"][1][1] == found["loss"]
    assert found["plane"][1] == found["lines"][0][::2], "along the plane's first direction"
    assert [row[1] for row in found["plane"]] == found["lines"][1][::2], "and its second"
    assert found["lines"][0][0] != found["lines"][0][4]
    assert len(traced) == 1, "one program for all points: a deep network takes long to compile"


MEASURED = {
    "row": "identity", "name": "a run", "loss": 0.01, "error_percent": 0.5, "test_error_percent": 4.0, "asked": {"images": 512},
    "metrics": [{"test_loss": 0.2, "test_error_percent": 4.0}],
    "distances": [-1.0, 0.0, 1.0], "lines": [[9.0, 0.01, 3.0], [5.0, 0.01, None]],
    "config": {"model": {"name": "resnet110"}, "data": {"name": "digits"}, "recipe": {"name": "digits", "total_steps": 440}, "seed": 0},
    "device": "cpu: one", "commit": "0" * 40, "versions": {"jax": "0.10.2"},
}  # fmt: skip


def test_the_gap_and_what_is_not_finite():
    assert "a gap of 3.50 points" in analysis_tables.gap(MEASURED)[0]
    assert analysis_tables.away(MEASURED, 0.0) == 0.01
    assert analysis_tables.away(MEASURED, 1.0) == 7.0, "of 3, 5, 9 and one that is not finite"
    none = MEASURED | {"lines": [[None, 0.01, None]]}
    assert analysis_tables.away(none, 1.0) is None
    assert analysis_tables.of_run("landscape", none).rows[0] == ("-1.0", "not finite", "not finite", "not finite")
