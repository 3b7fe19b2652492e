"""BN statistics over the whole training set, in place of running averages: recipe.bn_statistics=exact."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from ablations.networks.layers import BatchNorm
from ablations.training import feed
from ablations.training.steps import State, Steps, batch_of
from ablations.training.tally import Tally


def exact_if_due(steps: Steps, state: State, tally: Tally, report_broken) -> State:
    """The state of `exact` after the last step, if the recipe asks for it; else the state as it is."""
    recipe = steps.config.recipe
    is_due = recipe.bn_statistics == "exact" and tally.step == recipe.total_steps
    return exact(steps, state, report_broken) if is_due else state


def exact(steps: Steps, state: State, report_broken=feed.silent) -> State:
    """The state with statistics averaged over one pass through the training set, without augmentation.

    Without BN, the state as it is. report_broken: see `feed.Training`.
    """
    if not any(isinstance(node, BatchNorm) for _, node in nnx.iter_graph(steps.network)):
        return state
    devices, count = steps.devices, len(steps.dataset.train_images) // steps.config.recipe.batch_size
    sums = None
    options = {"augmented": False, "report_broken": report_broken, "shard": devices.shard}
    with feed.Training(steps.config, steps.dataset, range(count), **options) as batches:
        for _ in range(count):
            batch = devices.feed(jax.tree.map(lambda x: x[0], batches.take(1)), axis=0)
            arguments = (state.params, state.others, steps.data, batch)
            moments = steps.programs.call("moments", partial(_moments, steps), *arguments, **devices.options())
            sums = moments if sums is None else jax.tree.map(jnp.add, sums, moments)
    return state._replace(others=with_statistics(state.others, jax.tree.map(lambda x: x / count, sums)))


def _moments(steps: Steps, params, others, data, batch) -> dict:
    """The first and second moments of each BN's input over a batch, keyed by the paths of its mean and its variance."""
    network = steps.merge(params, others, train=True)
    # Over the whole batch: with groups, the variance of their means would be lost.
    network.set_attributes(group=None)
    network.with_auxiliary(steps.input(batch_of(data, batch, steps.dataset)[0], data))
    statistics = nnx.to_flat_state(nnx.as_pure(nnx.state(network, nnx.BatchStat)))
    means = {path: value for path, value in statistics if path[-1] == "mean"}
    return means | {
        path: variance + jnp.square(means[*path[:-1], "mean"])
        for path, variance in statistics
        if path[-1] == "variance"
    }


def with_statistics(others: nnx.State, moments: dict) -> nnx.State:
    """`others` with the means and variances that belong to these first and second moments."""
    flat = dict(nnx.to_flat_state(others))
    for path, moment in moments.items():
        mean = moments[*path[:-1], "mean"]
        flat[path] = moment if path[-1] == "mean" else moment - jnp.square(mean)
    return nnx.from_flat_state(flat)
