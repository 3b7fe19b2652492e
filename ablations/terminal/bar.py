"""Progress of a long job: a bar on a terminal, a line at each quarter elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from ablations.terminal.output import tell


@contextlib.contextmanager
def bar(what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with how many of `total` are done; total: None if it is unknown."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}")
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=total, figures="")

            def update(done: int) -> None:
                progress.update(task, completed=done, figures=_count(done, total, unit))

            yield update
        return
    quarter = 0

    def line(done: int) -> None:
        nonlocal quarter
        if total is None or 4 * done // total > quarter:
            quarter = 4 * done // (total or done)
            tell(f"{what}: {_count(done, total, unit)}")

    yield line


def _count(done: int, total: int | None, unit: str) -> str:
    return f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
