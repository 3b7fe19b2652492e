"""How far one long job is: a bar on a terminal, a line a quarter elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with how many of `total` are done."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}")
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            task = progress.add_task(what, total=total, figures="")

            def update(done: int) -> None:
                progress.update(task, completed=done, figures=f"{done:,} of {total:,} {unit}")

            yield update
        return
    quarter = 0

    def line(done: int) -> None:
        nonlocal quarter
        if 4 * done // total > quarter:
            quarter = 4 * done // total
            print(f"{what}: {done:,} of {total:,} {unit}", file=sys.stderr, flush=True)

    yield line
