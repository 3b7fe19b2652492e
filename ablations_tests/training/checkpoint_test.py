"""What is saved is what is restored, to the bit, or it is refused with its reason."""

import errno
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest

from ablations.training import checkpoint
from ablations.training.checkpoint import Checkpoints
from ablations_tests.conftest import configure

CONFIG = {"recipe": {"momentum": 0.9}}


def state(seed):
    key = jax.random.key(seed)
    return {
        "w": jax.random.normal(key, (300, 200)),
        "step": jnp.asarray(seed, jnp.int32),
        "key": key,
        "half": jnp.ones(4),
    }


def restored(folder, config=CONFIG):
    said, checkpoints = [], Checkpoints(folder)
    found = checkpoints.restore(state(99), config, said.append)
    checkpoints.close()
    return found, said


def saved(folder, *steps):
    checkpoints = Checkpoints(folder)
    for step in steps:
        checkpoints.save(step, state(step), {"step": step, "losses": [0.1, 1e-30]}, CONFIG)
    checkpoints.close()


@pytest.mark.parametrize("name", ["seed=0", "model.layers=[2],x=*?"])  # the second is a pattern to `glob`
def test_the_newest_comes_back_to_the_bit_and_two_are_kept(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    assert restored(folder) == (None, [])
    saved(folder, 1, 2, 3)
    (found, loop), said = restored(folder)
    assert loop == {"step": 3, "losses": [0.1, 1e-30]} and not said
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(state(3)), strict=True):
        assert one.dtype == other.dtype
        if not jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(one, other)
    assert jax.random.normal(found["key"]) == jax.random.normal(state(3)["key"])
    assert sorted(path.name for path in (folder / "checkpoints").glob("[0-9]*")) == ["2", "3"]


def test_one_from_before_a_setting_existed_is_used_with_its_default(tmp_path):
    config = configure()
    older = {key: value for key, value in config.resolved().items() if key != "matmul_precision"}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1), {}, older, wait=True)
    checkpoints.close()
    assert restored(tmp_path, config.resolved())[0] is not None and checkpoint.newest(tmp_path, config) == 1
    other = configure("matmul_precision=highest")
    assert restored(tmp_path, other.resolved())[0] is None and checkpoint.newest(tmp_path, other) == 0


def test_another_configuration_is_refused(tmp_path):
    saved(tmp_path, 1)
    found, said = restored(tmp_path, {"recipe": {"momentum": 0.5}})
    assert found is None and said == [f"{tmp_path}/checkpoints/1 belongs to another configuration: not used"]


def test_a_damaged_one_is_refused_and_the_one_before_is_used(tmp_path):
    """One flipped bit in the middle of the arrays: Orbax itself may not see it, the digest does."""
    saved(tmp_path, 1, 2)
    files = [path for path in (tmp_path / "checkpoints" / "2" / "state").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    (found, loop), (said,) = restored(tmp_path)
    assert loop["step"] == 1 and int(found["step"]) == 1
    assert said.startswith(f"{tmp_path}/checkpoints/2 is damaged (") and said.endswith("): not used")


def test_arrays_that_are_not_those_that_were_saved_are_refused(tmp_path, monkeypatch):
    saved(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_digest", lambda leaves: "of others")
        saved(tmp_path, 2)
    (_, loop), said = restored(tmp_path)
    assert loop["step"] == 1
    assert said == [f"{tmp_path}/checkpoints/2 is damaged (its digest does not match): not used"]


def test_the_memory_of_a_saved_state_may_be_used_again(tmp_path):
    """The next step reuses it while the checkpoint is still being written."""
    checkpoints = Checkpoints(tmp_path)
    array = np.ones(1000, np.float32)
    checkpoints.save(1, {"w": array}, {}, CONFIG)
    array[:] = 7
    checkpoints.close()
    found, _ = Checkpoints(tmp_path).restore({"w": array}, CONFIG, pytest.fail)
    np.testing.assert_array_equal(found["w"], np.ones(1000))


def test_what_a_run_has_counted_may_be_counted_on(tmp_path, monkeypatch):
    """The loop goes on while the checkpoint is still being written: what is kept is of the same step as the state."""
    given, save = [], orbax.checkpoint.args.JsonSave
    monkeypatch.setattr(orbax.checkpoint.args, "JsonSave", lambda item: given.append(item) or save(item))
    checkpoints, loop = Checkpoints(tmp_path), {"step": 1, "losses": [1.0], "metrics": [{"step": 0}]}
    checkpoints.save(1, state(1), loop, CONFIG)
    loop["step"] = loop["metrics"][0]["step"] = 2
    loop["losses"] += [2.0]
    [kept] = given  # which Orbax writes when it comes to it
    assert kept["loop"] == {"step": 1, "losses": [1.0], "metrics": [{"step": 0}]}
    checkpoints.close()
    assert restored(tmp_path)[0][1] == kept["loop"]


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    saved(tmp_path, 1)
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 0))
    with pytest.raises(OSError, match="No space left on device"):
        saved(tmp_path, 2)
    assert restored(tmp_path)[0][1]["step"] == 1


def test_what_the_system_refuses_while_it_is_written_is_an_error_of_the_system(tmp_path):
    """Here a file that may not become so large."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            noise = np.random.default_rng(0).random(100_000, np.float32)
            Checkpoints(tmp_path).save(1, {"w": noise}, {}, CONFIG, wait=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.errno == errno.EFBIG and error.value.__cause__


def test_a_step_that_was_refused_is_saved_anew(tmp_path):
    """By the process that refused it and went on from the one before, as when it is stopped there."""
    saved(tmp_path, 1, 2)
    files = [path for path in (tmp_path / "checkpoints" / "2" / "state").rglob("*") if path.is_file()]
    for path in files:
        path.write_bytes(b"")
    checkpoints, said = Checkpoints(tmp_path), []
    assert checkpoints.restore(state(99), CONFIG, said.append)[1]["step"] == 1 and len(said) == 1
    checkpoints.save(2, state(7), {"step": 2}, CONFIG, wait=True)
    checkpoints.close()
    (found, loop), said = restored(tmp_path)
    assert loop == {"step": 2} and int(found["step"]) == 7 and not said


def test_one_whose_arrays_are_gone_is_refused_without_a_word_from_below(tmp_path, capfd):
    """TensorStore's threads would print tracebacks for the arrays that were on their way."""
    saved(tmp_path, 1, 2)
    (tmp_path / "checkpoints" / "2" / "state" / "manifest.ocdbt").unlink()
    (_, loop), [said] = restored(tmp_path)
    assert loop["step"] == 1 and "checkpoints/2 is damaged" in said
    assert "Traceback" not in capfd.readouterr().err
