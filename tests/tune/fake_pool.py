"""A pool of one worker that answers at once with made-up times, by a clock of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from codesign.tune import settle, tuner
from codesign.tune.duel import Duel
from codesign.tune.outcome import Outcome
from codesign.tune.search import Choice
from codesign.tune.work import Parcel

Law = Callable[[Choice], float | None]


@dataclass
class Clock:
    """Seconds that pass only where a test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class FakePool:
    """Trials and duels take `wall` seconds; times are `law`'s, None is a failure."""

    law: Law
    clock: Clock = field(default_factory=Clock)
    wall: float = 1.0
    measured: list[Choice] = field(default_factory=list)
    duelled: list[Choice] = field(default_factory=list)
    waiting: list[tuple[Any, Any]] = field(default_factory=list)

    def __enter__(self) -> "FakePool":
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    @property
    def idle(self) -> list[Any]:
        return [] if self.waiting else [self]

    @property
    def busy(self) -> bool:
        return bool(self.waiting)

    @property
    def measuring(self) -> bool:
        return self.busy

    def poll(self, seconds: float) -> None:
        self.clock.now += self.wall
        message, reply = self.waiting.pop()
        if message[0] == "trial":
            self.measured.append((message[2], message[3]))
            reply(self._trial(self.measured[-1]))
        else:
            self.duelled.append(message[2])
            reply(self.fight(*message[2:]))

    def give(self, worker: Any, parcel: Parcel, message: Any, reply: Any) -> None:
        self.waiting.append((message, reply))

    def _trial(self, choice: Choice) -> Outcome:
        seconds = self.law(choice)
        if seconds is None:
            return Outcome("failed", message="no such instruction")
        return Outcome("ok", (seconds,) * 3)

    def fight(self, first: Choice, second: Choice, rounds: int) -> Duel:
        one, two = self.law(first), self.law(second)
        if one is None or two is None:
            return Duel(message="no such instruction")
        return Duel((one,) * rounds, (two,) * rounds)


def install(monkeypatch: pytest.MonkeyPatch, law: Law, wall: float = 1.0) -> FakePool:
    """A pool in the place of the tuner's, and its clock in the place of time."""
    pool = FakePool(law, wall=wall)

    def make(*arguments: object, **named: object) -> FakePool:
        return pool

    monkeypatch.setattr(tuner, "Pool", make)
    monkeypatch.setattr(tuner, "time", pool.clock)
    monkeypatch.setattr(settle, "time", pool.clock)
    return pool
