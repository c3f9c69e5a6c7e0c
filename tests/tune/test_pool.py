"""Workers that fail in every way: each is recorded, and the next candidate is measured."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.errors import TuningError
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool
from codesign.tune.timing import Limits
from codesign.tune.work import Parcel
from tests.tune.small_task import TARGET, sent, task


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(TARGET.spec, len(os.sched_getaffinity(0)), seconds=60.0) as made:
        assert len(made.workers) == 1
        yield made


def ask(pool: Pool, parcel: Parcel, *message: Any, meanwhile: Any = None) -> Any:
    """What the pool answers; `meanwhile(process id)` is called, the worker being stopped."""
    while not pool.idle:
        pool.poll(1.0)
    answers: list[Any] = []
    worker = pool.idle[0]
    if meanwhile is not None:
        os.kill(worker.process.pid, signal.SIGSTOP)
    pool.give(worker, parcel, message, answers.append)
    if meanwhile is not None:
        meanwhile(worker.process.pid)
    while not answers:
        pool.poll(1.0)
    return answers[0]


def trial(pool: Pool, parcel: Parcel, meanwhile: Any = None) -> Outcome:
    kernel, point = task().start
    limits = Limits(0.01, 3, 5)
    message = ("trial", parcel.work, kernel, point, None, limits)
    found: Outcome = ask(pool, parcel, *message, meanwhile=meanwhile)
    return found


def test_a_candidate_is_checked_and_timed(pool: Pool) -> None:
    outcome = trial(pool, sent())
    assert outcome.status == "ok", outcome
    assert 3 <= len(outcome.seconds) <= 5 and min(outcome.seconds) > 0


def test_wrong_numbers_are_found(pool: Pool) -> None:
    (name, want), = sent().expected.items()  # fmt: skip
    bad = want.copy()
    bad.flat[7] += 0.01 * float(np.abs(want).max())
    outcome = trial(pool, replace(sent(), work="bad", expected={name: bad}))
    assert outcome.status == "wrong" and "is off by" in outcome.message


def test_a_candidate_that_cannot_be_built_fails_with_the_reason(pool: Pool) -> None:
    outcome = ask(pool, sent(), "trial", sent().work, "no-such", (), None, Limits())
    assert outcome.status == "failed" and "no-such" in outcome.message


DEATHS = [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed")]


@pytest.mark.parametrize(("number", "status"), DEATHS)
def test_a_worker_that_dies_is_replaced(pool: Pool, number: int, status: str) -> None:
    def die(pid: int) -> None:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    outcome = trial(pool, sent(), meanwhile=die)
    assert outcome.status == status and signal.Signals(number).name in outcome.message
    assert trial(pool, sent()).status == "ok"


def test_a_worker_that_hangs_is_replaced(pool: Pool) -> None:
    before = pool.seconds
    pool.seconds = 0.5
    try:
        outcome = trial(pool, sent(), meanwhile=lambda pid: None)
    finally:
        pool.seconds = before
    assert outcome.status == "hung" and "no answer in 0.5 s" in outcome.message
    assert trial(pool, sent()).status == "ok"


def test_a_duel_gives_both_contenders_the_same_rounds(pool: Pool) -> None:
    start = task().start
    other = next(c for c in task().candidates(TARGET) if c != start)
    found = ask(pool, sent(), "duel", sent().work, other, start, 6)
    assert len(found.first) == len(found.second) == 6 and not found.message


def test_nothing_that_computes_something_else_wins(pool: Pool) -> None:
    start = task().start
    other = next(c for c in task().candidates(TARGET) if c != start)
    (name, want), = sent().expected.items()  # fmt: skip
    parcel = replace(sent(), work="spoilt", expected={name: want + 1.0})
    found = ask(pool, parcel, "duel", parcel.work, other, start, 6)
    assert not found.won and "is off by" in found.message


def wait_forever(pool: Pool) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        pool.poll(1.0)


def test_workers_that_never_start_end_the_run_with_the_reason() -> None:
    with Pool("no-such-target", 64) as broken, pytest.raises(TuningError, match="no-such-target"):
        wait_forever(broken)
