"""Files that are written whole or not at all, and the folder for what can be made again."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


def cache() -> Path:
    """The folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or expanded("~/.cache")) / "ablations"


def expanded(path: str | Path) -> Path:
    """The path with its ~ read: as / for an account without a home, as a login has it. That of nobody stays a name."""
    path = Path(os.path.expanduser(path))
    return Path("/", *path.parts[1:]) if path.parts[:1] == ("~",) else path


def why(error: OSError) -> str:
    """What the system says, in one line: with the file, if it names one."""
    reason = error.strerror or str(error) or type(error).__name__
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


def may(path: str | Path, how: int) -> bool:
    """Whether the system lets this process do this with a path; how: os.R_OK and so on."""
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def may_write(folder: Path) -> bool:
    """Whether files may be made in a folder, which need not be there yet."""
    there = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), folder)
    return os.path.isdir(there) and may(there, os.W_OK | os.X_OK)


def write_whole(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file so that readers see all of it or nothing, even after a power cut. Raises OSError with its name."""
    try:
        _write_whole(path, content)
    except OSError as error:
        error.filename = str(path)  # not that of the file beside it, or none at all
        raise


def _write_whole(path: Path, content: str | bytes | memoryview) -> None:
    # Not by mkstemp, whose files are for nobody else: who may read this one is for the umask to say.
    name = path.parent / f".{path.name[:40]}.{secrets.token_hex(4)}"
    handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
