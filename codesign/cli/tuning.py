"""What the tuner does, shown while it does it."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from codesign.cli.output import say, settings, tell
from codesign.cli.tables import count, ms, rate

if TYPE_CHECKING:
    from rich.table import Table

    from codesign.tune.tuner import Event, Listen, Settings

LINE_SECONDS = 5.0
ROWS = 24
STARTING, SEARCHING, SETTLING, STOPPED = "starting workers", "searching", "settling", "stopped"
STATES = {"trial": SEARCHING, "settling": SETTLING, "duel": SETTLING, "stopped": STOPPED}
INTERRUPTED = "interrupted: settling what was found, press Ctrl-C again to stop at once"
AT_ONCE = ("interrupted", "settling", "stopped")  # told without waiting


class Board:
    """The tasks as they stand, from the tuner's events."""

    def __init__(self, limits: "Settings") -> None:
        self.limits = limits
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.spent = 0
        self.seconds = 0.0
        self.state = STARTING
        self.contests = self.duels = 0
        self.interrupted = False

    def hear(self, event: "Event") -> None:
        """Take an event in."""
        self.spent, self.seconds = event["spent"], event["seconds"]
        for row in event.get("tasks", [event] if "work" in event else []):
            self.rows[row["work"]] = {**self.rows.get(row["work"], {}), **row}
        what = event["event"]
        self.interrupted |= what == "interrupted"
        if what != "trial" or self.state == STARTING:
            self.state = STATES.get(what, self.state)
        self.contests = event.get("contests", self.contests)
        self.duels += what == "duel"

    def total(self, key: str) -> float | None:
        """Sum of a time over the network, None while some task has none."""
        times: list[tuple[int, float | None]] = [
            (row["weight"], row[key]) for row in self.rows.values()
        ]
        known = [weight * value for weight, value in times if value is not None]
        return sum(known) if known and len(known) == len(times) else None

    def left(self) -> str:
        """How long the search may still take; nothing once it is over."""
        if self.state != SEARCHING or self.interrupted:
            return ""
        by_time = self.limits.seconds - self.seconds
        pace = self.seconds / self.spent if self.spent else float("inf")
        least = min(by_time, pace * max(0, self.limits.trials - self.spent))
        return "" if least == float("inf") else f", {max(0.0, least):.0f} s left"

    def line(self) -> str:
        """All in one line."""
        state = self.state
        if self.interrupted and state != STOPPED:
            state = INTERRUPTED
        if self.state == SETTLING:
            state += f", {self.duels} duels fought, {self.contests} tasks have a faster trial"
        found = f"tune: {state}, {self.spent} trials"
        best, settled = self.total("best_ms"), self.total("settled_ms")
        if settled is not None:
            found += f", settled {ms(settled)} ms"
        if best is not None and self.state == SEARCHING:
            found += f", best trials so far {ms(best)} ms (not confirmed)"
        return f"{found}{self.left()}"

    def table(self) -> "Table":
        """The tasks that take longest, and a line below."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=self.line())
        for heading in ("layer", "op"):
            table.add_column(heading)
        for heading in ("weight", "FLOP", "GFLOP/s", "settled ms", "best trial ms", "trials"):
            table.add_column(heading, justify="right")
        rows = sorted(self.rows.values(), key=lambda r: -(r["best_ms"] or 0) * r["weight"])
        for row in rows[:ROWS]:
            best = row["best_ms"]
            table.add_row(
                f"%{row['layer']}",
                row["op"],
                str(row["weight"]),
                count(row["flops"]),
                rate(row["flops"], row["settled_ms"]),
                ms(row["settled_ms"]),
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
        yield tell
    elif sys.stderr.isatty():
        with _live(Board(limits)) as listen:
            yield listen
    else:
        yield _lines(Board(limits))


def _lines(board: Board) -> "Listen":
    last = time.monotonic()

    def listen(event: "Event") -> None:
        nonlocal last
        board.hear(event)
        if event["event"] in AT_ONCE or time.monotonic() - last >= LINE_SECONDS:
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
