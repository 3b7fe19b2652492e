"""In a real kernel: an interrupt stops a run and nothing else, as often as one likes."""

import re
import time
from pathlib import Path

from ablations.runs.record import read_metrics, read_record
from ablations_tests.api.kernel import kernel

CONFIG = """
import jax
import ablations as ab
config = ab.configure(
    "model=resnet20", "model.depth=8", "recipe.total_steps=240", "recipe.evaluate_every=60", "checkpoint_seconds=1000",
    "recipe.batch_size=8", "data.split=train_val", "data.train_images=160",
)
"""


def wait_for(condition, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.02)


def test_an_interrupt_stops_a_run_keeps_its_step_and_leaves_the_kernel_as_it_was(tmp_path):
    """Two interrupts of two calls, one between the two, one twice in a row, and then the run to its end."""
    with kernel(tmp_path) as notebook:
        notebook.run(CONFIG)
        before = notebook.run("import signal; signal.getsignal(signal.SIGINT)")

        def folder() -> Path:
            return next(tmp_path.glob("runs/single/*/seed=0"))

        def step_kept(interrupts: int) -> int:
            cell = notebook.start("ab.train(config)")
            wait_for(lambda: list(tmp_path.glob("runs/single/*/seed=0/progress.json")))
            for _ in range(interrupts):
                notebook.interrupt()
            said, (name, words, shown) = notebook.end(cell)
            if interrupts > 1 and name == "KeyboardInterrupt":  # the second came before the step had ended
                return 0
            assert name == "Interrupted" and len(shown) == 1, "one line, no traceback"
            assert words.endswith("train(...) of the same configuration goes on"), words
            return int(re.match(r"stopped at step (\d+) of 240", words)[1])

        first = step_kept(1)
        assert 0 < first < 240
        assert [path.name for path in (folder() / "checkpoints").glob("[0-9]*")] == [str(first)]
        assert notebook.run("from ablations.training import environment; environment.threads()") == "1"
        assert notebook.run("signal.getsignal(signal.SIGINT)") == before
        second = step_kept(1)
        assert first < second < 240, "it went on from the step that was kept"
        assert notebook.end(notebook.start("raise ValueError('mine')"))[1][0] == "ValueError"
        step_kept(2)
        assert notebook.run("2 + 2") == "4", "twice in a row does not end the kernel"
        sleeping = notebook.start("print('now', flush=True); import time; time.sleep(60)")
        time.sleep(1)
        notebook.interrupt()
        assert notebook.end(sleeping)[1][0] == "KeyboardInterrupt", "an interrupt means again what it meant before"
        said = notebook.run("ab.train(config, quiet=True)")
        assert said.startswith("<run runs/single/") and "test error" in said
    assert read_record(folder())["command"].startswith("ablations.train(model=resnet20 model.depth=8 ")
    assert [line["step"] for line in read_metrics(folder())] == [60, 120, 180, 240]


def test_threads_that_cannot_be_kept_are_refused_and_those_that_hold_are_recorded(tmp_path):
    with kernel(tmp_path) as notebook:
        notebook.run("import os; os.environ['NPROC'] = '3'; import jax; jax.numpy.ones(3).sum()")
        notebook.run(CONFIG.replace("total_steps=240", "total_steps=2"))
        _, (name, words, shown) = notebook.end(notebook.start("ab.train(config)"))
        assert name == "UserError" and len(shown) == 1
        assert words.startswith("threads=1: JAX computes with 3 in this process already") and "threads=3" in words
        assert not list(tmp_path.rglob("record.json"))
        notebook.run("from dataclasses import replace; run = ab.train(replace(config, threads=3), quiet=True)")
        assert notebook.run("run.record['config']['threads']") == "3"
