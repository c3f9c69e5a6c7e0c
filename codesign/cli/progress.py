"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from codesign.cli.output import say, settings, tell
from codesign.progress import Progress as Report

LINE_SECONDS = 2.0


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A function to report (what is done now, the share done) to while the block runs."""
    if settings.quiet:
        yield lambda message, done: None
    elif settings.events:
        yield lambda message, done: tell({"event": "progress", "doing": message, "done": done})
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
    """A line in two seconds at most."""
    start = time.monotonic()
    last = start

    def report(message: str, done: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            say(f"{title}: {done:4.0%} {message} ({now - start:.0f} s)")

    return report
