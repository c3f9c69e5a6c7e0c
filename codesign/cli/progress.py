"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from codesign.cli.output import say, settings

Report = Callable[[str, float], None]
QUIET_SECONDS = 1.0  # what ends sooner is not worth a line


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A function to report (what is done now, the share done) to while the block runs."""
    if settings.quiet:
        yield lambda message, done: None
    elif sys.stderr.isatty():
        with _bar(title) as report:
            yield report
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn(title),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=1.0)
        yield lambda message, done: shown.update(task, description=message, completed=done)


def _lines(title: str) -> Report:
    start = time.monotonic()

    def report(message: str, done: float) -> None:
        elapsed = time.monotonic() - start
        if elapsed >= QUIET_SECONDS:
            say(f"{title}: {done:4.0%} {message} ({elapsed:.0f} s)")

    return report
