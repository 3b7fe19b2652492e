"""The seconds of a run, counted over all the processes that have trained it in turn."""

import contextlib
import time

from ablations.training.programs import Programs
from ablations.training.tally import Tally


class Clock:
    """Counts seconds into a tally. started: when this process began to work on the run, by `time.perf_counter`."""

    def __init__(self, tally: Tally, programs: Programs, started: float):
        self.tally, self.programs = tally, programs
        self.noted, self.saved, self.compiled = started, time.perf_counter(), 0.0

    @contextlib.contextmanager
    def training(self):
        """Count the seconds that a block takes, less those spent compiling."""
        start, compiled = time.perf_counter(), self.programs.compile_seconds
        yield
        self.tally.train_seconds += time.perf_counter() - start - (self.programs.compile_seconds - compiled)

    def since_checkpoint(self) -> float:
        """Seconds since the last `note`."""
        return time.perf_counter() - self.saved

    def note(self) -> None:
        """Bring the tally up to date before it is written."""
        now = time.perf_counter()
        self.tally.wall_seconds += now - self.noted
        self.tally.compile_seconds += self.programs.compile_seconds - self.compiled
        self.noted = self.saved = now
        self.compiled = self.programs.compile_seconds
