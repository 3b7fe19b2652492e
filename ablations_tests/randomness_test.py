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
