"""Files that are written whole or not at all; where what can be made again is kept."""

import contextlib
import os
import tempfile
from pathlib import Path


def cache() -> Path:
    """Where is kept what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablations"


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a power cut."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
