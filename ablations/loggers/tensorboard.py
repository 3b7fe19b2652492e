"""A run as TensorBoard shows it: event files, written by tensorboardX."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path


class EventFiles:
    """Event files, rewritten at each start from all evaluations so far."""

    def __init__(self, run: dict, tell: Callable[[str, str], None]):
        sys.modules.setdefault("torch", None)  # pyright: ignore[reportArgumentType]  # tensorboardX imports it: seconds
        # Not SummaryWriter, which writes in a thread, where a full disk goes unnoticed.
        from tensorboardX.event_file_writer import EventsWriter

        folder = Path(run["folder"]).absolute() / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.writer = EventsWriter(str(folder / "events"))
        tell("where", str(folder))

    def log(self, metrics: dict) -> None:
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]  # made when imported
        from tensorboardX.summary import scalar

        for name, value in metrics.items():
            if name != "step" and value is not None:
                summary = scalar(name, value)
                self.writer.write_event(Event(wall_time=time.time(), step=metrics["step"], summary=summary))
        self.writer.flush()

    def finish(self, _record: dict | None) -> None:
        self.writer.close()
