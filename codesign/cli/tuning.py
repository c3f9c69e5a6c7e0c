"""What the tuner does, shown while it does it."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from codesign.cli.output import say, settings
from codesign.cli.tables import count, ms, rate

if TYPE_CHECKING:
    from rich.table import Table

    from codesign.tune.tuner import Event, Listen, Settings

LINE_SECONDS = 5.0
ROWS = 24


class Board:
    """The tasks as they stand, from the tuner's events."""

    def __init__(self, limits: "Settings") -> None:
        self.limits = limits
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.spent = 0
        self.seconds = 0.0
        self.state = "starting workers"

    def hear(self, event: "Event") -> None:
        """Take an event in."""
        self.spent, self.seconds = event["spent"], event["seconds"]
        for row in event.get("tasks", [event] if "work" in event else []):
            self.rows[row["work"]] = row
        self.state = {"trial": "searching", "duel": "settling", "interrupted": "settling"}.get(
            event["event"], self.state
        )

    def total(self, key: str) -> float | None:
        """Sum of a time over the network, None while some task has none."""
        times: list[tuple[int, float | None]] = [
            (row["weight"], row[key]) for row in self.rows.values()
        ]
        known = [weight * value for weight, value in times if value is not None]
        return sum(known) if known and len(known) == len(times) else None

    def left(self) -> str:
        """How long the search may still take."""
        by_time = self.limits.seconds - self.seconds
        pace = self.seconds / self.spent if self.spent else float("inf")
        least = min(by_time, pace * max(0, self.limits.trials - self.spent))
        return "" if least == float("inf") else f", {max(0.0, least):.0f} s left"

    def line(self) -> str:
        """All in one line."""
        best, start = self.total("best_ms"), self.total("start_ms")
        found = f", {ms(start)} -> {ms(best)} ms" if best is not None and start else ""
        return f"tune: {self.state}, {self.spent} trials{found}{self.left()}"

    def table(self) -> "Table":
        """The tasks that take longest, and a line below."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=self.line())
        for heading in ("layer", "op", "weight", "FLOP", "GFLOP/s", "start ms", "best ms"):
            table.add_column(heading, justify="left" if heading in ("layer", "op") else "right")
        table.add_column("trials", justify="right")
        rows = sorted(self.rows.values(), key=lambda r: -(r["best_ms"] or 0) * r["weight"])
        for row in rows[:ROWS]:
            best = row["best_ms"]
            table.add_row(
                f"%{row['layer']}",
                row["op"],
                str(row["weight"]),
                count(row["flops"]),
                rate(row["flops"], best),
                ms(row["start_ms"]),
                ms(best),
                f"{row['trials']}/{row['candidates']}",
            )
        return table


@contextmanager
def watching(limits: "Settings") -> "Iterator[Listen]":
    """A listener that shows events: a table on a terminal, json lines or plain lines elsewhere."""
    if settings.quiet:
        yield lambda event: None
    elif settings.json:
        yield _json
    elif sys.stderr.isatty():
        with _live(Board(limits)) as listen:
            yield listen
    else:
        yield _lines(Board(limits))


def _json(event: "Event") -> None:
    import json

    print(json.dumps(dict(event)), file=sys.stderr, flush=True)


def _lines(board: Board) -> "Listen":
    last = time.monotonic()

    def listen(event: "Event") -> None:
        nonlocal last
        board.hear(event)
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            say(board.line())

    return listen


@contextmanager
def _live(board: Board) -> "Iterator[Listen]":
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def listen(event: "Event") -> None:
            board.hear(event)
            live.update(board.table())

        yield listen
