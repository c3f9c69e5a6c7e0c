"""The least times that satisfy the rules of a network of processes.

time[i] >= time[i - 1] + gap[i], and >= the time at which each word that step i needs is there. The
least solution is the limit of applying the rules from below: each process at once over all its
steps and images, as a running maximum, again whenever what it reads has moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codesign.errors import RefusedError
from codesign.targets.xnor.events import Channel, Process

NEVER = np.iinfo(np.int64).min // 4


@dataclass
class _Rule:
    """Steps `at` wait for words `words` of a channel: those that `maker` makes at its steps."""

    at: np.ndarray
    words: np.ndarray
    maker: str
    made: np.ndarray
    delay: int


def solve(processes: Sequence[Process], images: int) -> dict[str, np.ndarray]:
    """The cycle of every step by process; RefusedError if some wait for each other for ever."""
    makers: dict[Channel, tuple[Process, np.ndarray]] = {}
    for process in processes:
        for channel, flags in process.makes.items():
            makers[channel] = (process, np.flatnonzero(np.tile(flags, images)))
    rules = {p.name: list(_rules(p, makers, images)) for p in processes}
    spans = {p.name: _span(p, images) for p in processes}
    readers: dict[str, set[str]] = {p.name: set() for p in processes}
    for name, found in rules.items():
        for rule in found:
            readers[rule.maker].add(name)
    times = {name: span.copy() for name, span in spans.items()}
    limit = 4 * sum(int(span[-1]) + 64 for span in spans.values() if len(span))
    moved, order = {p.name for p in processes}, [p.name for p in processes]
    while moved:
        for name in (*order, *reversed(order)):
            if name not in moved:
                continue
            moved.discard(name)
            new = _applied(spans[name], rules[name], times)
            if not np.array_equal(new, times[name]):
                times[name] = new
                moved |= readers[name]
                if new[-1] > limit:
                    raise RefusedError(f"the FIFOs of this design are too shallow: {name} waits")
    return times


def _span(process: Process, images: int) -> np.ndarray:
    """The times of a process that waits for nothing; the first step is in cycle 0."""
    gaps = np.tile(process.gaps.astype(np.int64), images)
    found: np.ndarray = np.cumsum(gaps)
    return found - found[0] if len(found) else found


def _rules(
    process: Process, makers: dict[Channel, tuple[Process, np.ndarray]], images: int
) -> list[_Rule]:
    found = []
    for channel, need in process.needs.items():
        maker, made = makers[channel]
        each = len(made) // images
        every = (need[None, :] + np.arange(images)[:, None] * each).ravel()
        at = np.flatnonzero(every > 0)
        found.append(_Rule(at, every[at] - 1, maker.name, made, maker.delays[channel]))
    return found


def _applied(span: np.ndarray, rules: list[_Rule], times: dict[str, np.ndarray]) -> np.ndarray:
    """The times of a process that follow from those of others."""
    least = np.full(len(span), NEVER)
    for rule in rules:
        there = times[rule.maker][rule.made] + rule.delay
        least[rule.at] = np.maximum(least[rule.at], there[rule.words])
    found: np.ndarray = span + np.maximum(np.maximum.accumulate(least - span), 0)
    return found
