"""Output of a command: printed, or written to a file."""

import contextlib
import os
import sys
from pathlib import Path

from ablations.errors import UserError
from ablations.system.files import write_whole


def give_out(text: str, out: str | Path | None, note: str = "") -> None:
    """Print the text, or write it to `out` and report the path, followed by the note.

    A link stays one, and a device or a pipe is written to. Raises UserError if it cannot be written.
    """
    if not out:
        print(text, end="")
        return
    try:
        path = Path(os.path.realpath(out))
        if path.is_char_device() or path.is_fifo():
            path.write_text(text)
        else:
            write_whole(path, text)
    except OSError as error:
        raise UserError(f"out={out}: cannot be written: {error.strerror}") from error
    print(f"wrote {out}{note}")


def tell(line: str) -> None:
    """Print to standard error at once. That nobody can read it, as on a terminal that is gone, ends nothing."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
