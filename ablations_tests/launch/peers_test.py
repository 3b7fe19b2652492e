"""Whether another process is gone: of real errors, and of errors that only sound like one."""

import signal

import jax
import jax.numpy as jnp
import pytest

from ablations.errors import UserError
from ablations.launch import peers, worker
from ablations.runs.folder import RunFolder
from ablations_tests.conftest import configure

# As jaxlib 0.10.2 said when another process was killed.
GLOO = (
    "UNKNOWN: Gloo AllGather failed: [external/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer "
    "[127.0.0.1]:8925"
)


def test_an_error_of_the_connection_says_that_another_process_is_gone():
    assert peers.was_lost(ValueError(GLOO)) and peers.reason(ValueError(GLOO)) == peers.ANOTHER_LOST
    wrapped = RuntimeError("an evaluation failed")
    wrapped.__cause__ = ValueError(GLOO)
    assert peers.was_lost(wrapped)


@pytest.mark.parametrize(
    "words",
    [
        "NCCL is not installed: the heartbeat of the Gloo backend needs it",
        "UNKNOWN: Gloo AllGather failed: [external/gloo/gloo/allgather.cc:33] Enforce failed: sizes differ",
        "INTERNAL: NCCL operation ncclAllReduce failed: invalid usage",
        "the coordination service, Socket closed, Connection reset by peer",
    ],
)
def test_an_error_that_only_names_them_is_its_own(words):
    assert peers.reason(ValueError(words)) == f"ValueError: {words}"


def test_a_process_that_jax_ended_is_told_by_its_exit_code_and_by_its_words():
    said = f"F1125 client.h:80] {peers.ENDED_BY_JAX}. This most likely indicates that another task died"
    assert peers.was_ended(-signal.SIGABRT, said)
    assert not peers.was_ended(-signal.SIGSEGV, said) and not peers.was_ended(
        -signal.SIGABRT, "F1125 Check failed: a == b"
    )


def test_too_little_memory_is_known_by_its_code():
    with pytest.raises(jax.errors.JaxRuntimeError) as error:
        jnp.zeros(1 << 45)
    assert error.value.error_code == worker.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("several", [False, True])
def test_the_reason_of_a_failure_stands_first_and_its_traceback_below(several, tmp_path, monkeypatch):
    meet = ["distributed=manual", "distributed.coordinator=a:1", "distributed.processes=1", "distributed.process=0"]
    config = configure(f"runs_dir={tmp_path}", *(meet if several else []))
    folder = RunFolder.of(config)
    folder.path.mkdir(parents=True)

    def breaks(*_):
        raise ValueError(GLOO)

    monkeypatch.setattr(worker, "_train", breaks)
    with pytest.raises(ValueError, match="Gloo AllGather failed"):
        worker.run_here([config], quiet=True, patience_seconds=0)
    expected = peers.ANOTHER_LOST if several else f"ValueError: {GLOO}"
    text = folder.failure_file.read_text()
    assert folder.failure() == expected == text.splitlines()[0]
    assert "Traceback" in text and "in breaks" in text and text.strip().endswith(f"ValueError: {GLOO}")


def test_a_users_mistake_is_one_line_and_what_led_to_it_is_kept(tmp_path, monkeypatch):
    config = configure(f"runs_dir={tmp_path}")
    folder = RunFolder.of(config)
    folder.path.mkdir(parents=True)

    def fails(cause):
        def train(*_):
            raise UserError("choose another") from cause

        monkeypatch.setattr(worker, "_train", train)
        worker.run_here([config], quiet=True, patience_seconds=0)
        return folder.failure_file.read_text()

    assert fails(None) == "choose another\n"
    text = fails(KeyError("deep"))
    assert folder.failure() == "choose another" and "KeyError: 'deep'" in text


@pytest.mark.parametrize(
    "content,reason",
    [
        ("Traceback (most recent call last):\n  File\n    a\nValueError: so it is\n", "ValueError: so it is"),
        ("another process of this run was lost\n", "another process of this run was lost"),
        ("the short word\n\nTraceback (most recent call last):\n  File\nValueError: so\n", "the short word"),
        ("", None),
        (None, None),
    ],
)
def test_a_failure_is_read_as_any_version_wrote_it(content, reason, tmp_path):
    if content is not None:
        (tmp_path / "failure.txt").write_text(content)
    assert RunFolder(tmp_path).failure() == reason
