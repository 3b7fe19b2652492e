import jax
import numpy as np

from ablations import randomness


def test_every_image_comes_once_an_epoch():
    flat = randomness.batches(3, 0, 50, 7, 35).ravel()
    epochs = flat.reshape(10, 35)
    assert all(sorted(epoch) == list(range(35)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 10, "each epoch has its own order"


def test_a_step_is_a_function_of_seed_and_step():
    whole = randomness.batches(3, 0, 40, 8, 35)
    for first, steps in ((0, 1), (7, 13), (39, 1), (4, 9)):
        np.testing.assert_array_equal(randomness.batches(3, first, steps, 8, 35), whole[first : first + steps])
    assert (randomness.batches(4, 0, 40, 8, 35) != whole).any()


def test_streams_are_independent():
    keys = {tuple(jax.random.key_data(randomness.key(0, stream)).tolist()) for stream in randomness.STREAMS}
    assert len(keys) == len(randomness.STREAMS)


def test_every_seed_has_streams_of_its_own():
    """Large ones, too, of which JAX takes the lower 32 bits; small ones have the keys that they always had."""
    seeds = (0, 1, 2**31 + 5, 2**32, 2**32 + 1, 2**33, 1234567890, 2**63 - 1)
    keys = {
        tuple(jax.random.key_data(randomness.key(s, stream)).tolist()) for s in seeds for stream in randomness.STREAMS
    }
    assert len(keys) == len(seeds) * len(randomness.STREAMS)
    orders = {tuple(randomness.batches(seed, 0, 1, 30, 30)[0]) for seed in seeds}
    crops = {int(randomness.image_generator(seed, 0).integers(2**62)) for seed in seeds}
    assert len(orders) == len(crops) == len(seeds)
    for seed in (0, 1, 1234567890):
        old = jax.random.fold_in(jax.random.key(seed), randomness.STREAMS.index("dropout"))
        assert (jax.random.key_data(old) == jax.random.key_data(randomness.key(seed, "dropout"))).all()
