"""Downloads with TensorFlow Datasets, each in a process of its own, since its threads cannot be interrupted."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ablations.errors import UserError

SECONDS_BETWEEN_LOOKS = 0.2


def download(url: str, folder: Path, progress: Callable[[int], None]) -> Path:
    """Download a file into a folder; `progress` is called with the number of bytes so far.

    Raises UserError, with the reason, if that fails.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "ablations.data.download", url, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while child.poll() is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            progress(_bytes(folder))
        output, errors = child.communicate()
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        reason = ([line for line in errors.splitlines() if line.strip()] or ["no reason was given"])[-1]
        raise UserError(f"{url} cannot be downloaded: {reason}")
    return Path(output.splitlines()[-1])


def _bytes(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError):  # files move while they are counted
        for path in folder.rglob("*"):
            total += path.stat().st_size if path.is_file() else 0
    return total


def main(url: str, folder: str) -> None:
    """Print the path of the downloaded file; TensorFlow Datasets compares the checksums that it knows."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    print(tfds.download.DownloadManager(download_dir=folder).download(url))


if __name__ == "__main__":
    main(*sys.argv[1:])
