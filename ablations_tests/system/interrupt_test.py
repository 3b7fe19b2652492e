"""What becomes of processes that are asked to stop, or are refused, before their run has begun; with stand-ins."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import submitit
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from ablations.errors import UserError
from ablations.launch import entry, hosts, worker
from ablations.launch import launcher as launch
from ablations.launch.slurm import task
from ablations.system import interrupt, machine
from ablations.training import environment


def test_a_second_ctrl_c_leaves_no_process_and_no_file_of_ours(tmp_path, monkeypatch):
    handlers, ended = {}, []
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    children = [SimpleNamespace(kill=lambda: ended.append("child"))]
    monkeypatch.setattr(multiprocessing, "active_children", lambda: children)
    monkeypatch.setattr(os, "_exit", ended.append)
    with interrupt.stoppable(tmp_path):
        handlers[signal.SIGINT](signal.SIGINT, None)
        assert ended == [] and interrupt.marker(tmp_path, os.getpid()).exists()
        handlers[signal.SIGINT](signal.SIGINT, None)
        assert ended == ["child", 130] and os.listdir(tmp_path) == []


def test_a_file_that_asks_to_stop_is_for_workers_and_not_for_what_another_shell_has_left(tmp_path):
    for process in (os.getpid(), os.getppid()):
        interrupt.marker(tmp_path, process).touch()
    assert not interrupt.stop_requested(tmp_path)
    with ProcessPoolExecutor(1) as workers:  # joblib's own
        assert workers.submit(interrupt.stop_requested, tmp_path).result(60)


def test_a_disk_that_takes_no_file_is_no_reason_to_die_of_a_signal(tmp_path):
    with interrupt.stoppable(tmp_path / "no such folder") as stop:
        signal.raise_signal(signal.SIGTERM)
    assert stop.exit_code == 143


def test_what_is_heard_in_a_block_is_gone_after_it(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        with interrupt.listening((signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)) as stop:
            assert not interrupt.stop_requested(tmp_path) and stop.exit_code is None
            signal.raise_signal(number)
            assert interrupt.stop_requested(tmp_path) and interrupt.signal_number() == number
        assert (stop.signal, stop.exit_code) == (number, 128 + number)
        assert not interrupt.stop_requested(tmp_path) and interrupt.exit_code() is None
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)] == before
    with pytest.raises(RuntimeError, match="mine"), interrupt.listening():
        raise RuntimeError("mine")
    assert signal.getsignal(signal.SIGINT) is before[0], "an error gives them back too"


def test_the_end_of_a_terminal_counts_but_not_for_who_does_not_hear_it(tmp_path):
    """nohup ignores SIGHUP, and so do we."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt.listening():
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.stop_requested(tmp_path)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with interrupt.listening() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert interrupt.stop_requested(tmp_path) and stop.exit_code == 129
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_is_one_to_all_blocks_and_the_outermost_says_what_a_second_one_does(tmp_path):
    heard, again = [], []
    with interrupt.listening(
        on_signal=lambda: heard.append("outer"), on_second=lambda *_: again.append("outer")
    ) as outer:
        with interrupt.listening() as inner:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        assert (outer.signal, inner.signal) == (signal.SIGINT,) * 2 and interrupt.stop_requested(tmp_path)
        with interrupt.listening() as later:
            assert later.signal == signal.SIGINT and interrupt.stop_requested(tmp_path), (
                "what is asked to stop begins nothing new"
            )
        signal.raise_signal(signal.SIGTERM)
    assert heard == ["outer", "outer"] and again == ["outer"] and outer.exit_code == 128 + signal.SIGTERM


def test_in_another_thread_nothing_is_changed_and_the_main_thread_s_signals_are_heard(tmp_path):
    before, found, go = signal.getsignal(signal.SIGINT), [], threading.Event()

    def listen():
        with interrupt.listening() as stop:
            found.append(signal.getsignal(signal.SIGINT))
            go.wait(60)
            found.append((stop.signal, interrupt.stop_requested(tmp_path)))

    thread = threading.Thread(target=listen)
    thread.start()
    while not found:
        time.sleep(0.01)
    assert found == [before] and not interrupt.stop_requested(tmp_path)
    with interrupt.listening():
        signal.raise_signal(signal.SIGINT)
    go.set()
    thread.join()
    assert found[1] == (signal.SIGINT, True)


@pytest.fixture
def config(tmp_path):
    distributed = SimpleNamespace(name="manual", check=lambda: None)
    return SimpleNamespace(distributed=distributed, runs_dir=str(tmp_path))


def test_a_process_that_is_stopped_before_it_has_met_the_others_has_not_started(config, monkeypatch):
    process = SimpleNamespace(is_alive=lambda: False, exitcode=-signal.SIGTERM)
    process.start = process.kill = process.join = lambda: None
    context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=lambda **_: process)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)
    asked = []
    monkeypatch.setattr(interrupt, "stop_requested", lambda _: bool(asked))
    error = hosts.run(config, quiet=True, patience_seconds=0)
    assert not isinstance(error, interrupt.Interrupted) and "the process of this run died" in str(error)
    asked.append(True)
    error = hosts.run(config, quiet=True, patience_seconds=0)
    assert isinstance(error, interrupt.NotStarted)


def test_a_refusal_in_the_second_process_is_said_in_its_words(config, monkeypatch, tmp_path):
    calls, answers = [], []
    monkeypatch.setattr(os, "setsid", lambda: None)
    monkeypatch.setattr(os, "_exit", lambda code: calls.append(f"exit {code}"))
    monkeypatch.setattr(hosts, "_keep_apart", lambda _: None)
    monkeypatch.setattr(hosts, "_start", lambda _: calls.append("meet"))
    monkeypatch.setattr(interrupt, "listen", lambda: calls.append("listen"))

    def refuse(*_, **__):
        raise UserError("its file system keeps no locks")

    monkeypatch.setattr(worker, "run_here", refuse)
    hosts._work(config, True, 0.0, tmp_path / "words.txt", SimpleNamespace(send=answers.append))
    met, ended = answers
    assert met.is_first and str(ended.error) == "its file system keeps no locks"
    assert calls == ["meet", "listen", "exit 0"], "a signal ends what waits for the others"


def test_workers_that_die_of_the_signal_that_stops_a_sweep_are_no_want_of_memory(monkeypatch):
    def die(*_, **__):
        raise TerminatedWorkerError  # joblib's own

    launcher = SimpleNamespace(launch=die)
    with pytest.raises(UserError, match="perhaps because it ran out of memory"):
        launch.start(launcher, [])
    with interrupt.listening():
        signal.raise_signal(signal.SIGINT)
        assert launch.start(launcher, []) == []


@pytest.mark.parametrize("number,told,code", [(None, signal.SIGUSR2, 2), (signal.SIGTERM, signal.SIGTERM, 143)])
def test_a_task_that_another_one_s_signal_has_stopped_is_queued_again_and_fails(number, told, code, monkeypatch):
    asked = []
    monkeypatch.setattr(submitit, "JobEnvironment", lambda: SimpleNamespace(USR_SIG="USR2", job_id="100"))
    monkeypatch.setattr(signal, "getsignal", lambda _: lambda number, frame: asked.append(number))
    monkeypatch.setattr(interrupt, "listen", lambda _: None)
    monkeypatch.setattr(interrupt, "signal_number", lambda: number)
    monkeypatch.setattr(task, "_counts_as_running", lambda _: True)
    monkeypatch.setattr(task, "parse", lambda composed: composed)
    monkeypatch.setattr(entry, "group_of", lambda _, first: [first])
    monkeypatch.setattr(entry, "run", lambda *_, **__: [interrupt.Interrupted("stopped at step 3")])
    monkeypatch.setattr(sys, "argv", ["ablations"])
    with pytest.raises(SystemExit) as ended:
        task.task([], {}, None)
    assert asked == [told] and ended.value.code == code


@pytest.mark.parametrize("name,taken", [("none", [2]), ("manual", [2]), ("slurm", []), ("auto", [])])
def test_a_task_of_a_cluster_keeps_its_share_of_devices(name, taken, monkeypatch):
    found = []
    monkeypatch.setattr(machine, "take", found.append)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(environment, "threads", lambda: None)
    environment.prepare(
        SimpleNamespace(
            devices=2, distributed=SimpleNamespace(name=name), threads=1, packing="single", runs_at_a_time=1
        )
    )
    assert found == taken


def test_what_outlives_a_terminal_does_not_hear_its_end():
    children = []
    interrupt.start_outliving(lambda: children.append(subprocess.Popen(["sleep", "60"])))
    [child] = children
    child.send_signal(signal.SIGHUP)
    time.sleep(0.05)
    assert child.poll() is None
    child.kill()
    child.wait()
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
