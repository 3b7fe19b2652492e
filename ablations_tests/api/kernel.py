"""A real kernel of Jupyter, in which cells are run as a notebook runs them."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager


class Kernel:
    """A kernel that runs. What a cell prints and shows comes as text, errors as [name, words, lines shown]."""

    def __init__(self, manager: KernelManager, client):
        self.manager, self.client = manager, client

    def start(self, cell: str) -> str:
        """Run a cell, without waiting for it; a name for `end`."""
        return self.client.execute(cell)

    def end(self, name: str, seconds: float = 240) -> tuple[str, list | None]:
        """What it has shown once it has ended, and its error."""
        said, error, until = [], None, time.monotonic() + seconds
        while time.monotonic() < until:
            message = self.client.get_iopub_msg(timeout=max(until - time.monotonic(), 0.1))
            if message["parent_header"].get("msg_id") != name:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
            elif message["msg_type"] == "execute_result":
                said.append(content["data"]["text/plain"])
            elif message["msg_type"] == "error":
                error = [content["ename"], content["evalue"], content["traceback"]]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return "".join(said), error
        raise TimeoutError(f"the cell has not ended: {''.join(said)}")

    def run(self, cell: str, seconds: float = 240) -> str:
        """What a cell shows. Fails where it ends with an error."""
        said, error = self.end(self.start(cell), seconds)
        assert error is None, error
        return said

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()


@contextlib.contextmanager
def kernel(cwd: Path) -> Iterator[Kernel]:
    """A kernel of this Python, in this folder."""
    manager = KernelManager()
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=command, display_name="ablations", language="python")
    manager.start_kernel(cwd=str(cwd))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
