"""Runs of the tuner with made-up times: before and after, budgets, Ctrl-C, sharing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import TuningError
from codesign.ir.program import Program
from codesign.runtime.host import device
from codesign.tune.informed import informed
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome
from codesign.tune.result import Result
from codesign.tune.search import Choice
from codesign.tune.store import Store
from codesign.tune.summary import summary
from codesign.tune.tuner import Settings, Tuner
from codesign.tune.work import Task, tasks_of
from tests.tune.fake_pool import FakePool, install
from tests.tune.small_task import TARGET, network, task

Event = dict[str, Any]
START = task().start
OTHERS = [choice for choice in task().candidates(TARGET) if choice != START]
FAST = OTHERS[-1]


def law(choice: Choice) -> float:
    """The last candidate takes half the time."""
    return 0.5e-3 if choice == FAST else 1e-3 if choice == START else 2e-3


def several() -> list[Task]:
    """Tasks of different sizes."""
    programs = [network(1, channels) for channels in (16, 32, 48)]
    return [t for program in programs for t in tasks_of(program) if t.op == "conv"]


def run(
    path: Path,
    trials: int = 10_000,
    hear: Callable[[Event], None] | None = None,
    tasks: list[Task] | None = None,
    **named: Any,
) -> tuple[list[Result], list[Event], Tuner]:
    events: list[Event] = []

    def listen(event: Any) -> None:
        events.append(dict(event))
        if hear is not None:
            hear(dict(event))

    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        settings = Settings(trials, **named)
        tuner = Tuner([task()] if tasks is None else tasks, TARGET, journal, settings, listen)
        return tuner.run(), events, tuner


def kinds(events: list[Event]) -> list[str]:
    return [event["event"] for event in events]


def test_before_and_after_are_of_the_duel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, law)
    (found,), events, _ = run(tmp_path / "t.db")
    assert found.settled == FAST and found.won and found.source == "duel"
    assert [found.start, found.after] == pytest.approx([1e-3, 0.5e-3])
    (duel,) = (event for event in events if event["event"] == "duel")
    assert (duel["ms"], duel["against_ms"], duel["ratio"]) == pytest.approx((0.5, 1.0, 0.5))
    assert duel["won"] and duel["rounds"] == 40 and duel["chance"] < 0.01
    assert events[-1]["won"] == 1 and events[-1]["tuned"] == 0
    trials = [event for event in events if event["event"] == "trial"]
    assert {event["settled_ms"] for event in trials} == {1.0}, "no gain before a duel"


def test_a_start_that_was_slow_once_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    install(monkeypatch, lambda choice: 9e-3 if choice == START else None)
    run(path, 1)
    pool = install(monkeypatch, lambda choice: 1e-3 if choice == START else 2e-3)
    (found,), events, _ = run(path, 4)
    assert pool.measured[0] == START and len(pool.measured) == 3
    assert (found.start, found.after, found.source) == (1e-3, 1e-3, "trial")
    assert not pool.duelled and found.trials == 4
    assert events[-1]["won"] == 0


def test_what_lost_its_duel_shows_as_no_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lucky = {FAST: [0.1e-3]}  # one lucky trial

    def noisy(choice: Choice) -> float:
        return lucky[choice].pop() if lucky.get(choice) else 1e-3

    pool = install(monkeypatch, noisy)
    (found,), events, _ = run(tmp_path / "t.db")
    assert pool.duelled[0] == FAST and not found.won and found.settled == START
    assert (found.start, found.after, found.source) == (1e-3, 1e-3, "duel")
    assert found.json()["faster"] is None and events[-1]["won"] == 0
    with Store(tmp_path / "t.db", write=False) as store:
        (line,) = summary(store)
    assert line.settled is None and line.best is not None and line.best.kernel == FAST[0]


def test_the_database_tells_settled_from_the_best_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    install(monkeypatch, law)
    (found,), _, _ = run(path)
    with Store(path, write=False) as store:
        (line,), counts = summary(store), store.counts()
    assert line.settled is not None and line.best is not None and not line.differs
    assert line.json()["settled"]["ms"] == pytest.approx(0.5)
    assert line.json()["settled"]["ratio"] == pytest.approx(0.5)
    assert line.trials == counts.trials == found.trials == len(OTHERS) + 1
    assert counts.duels == 1
    program = informed(TARGET, path).place(network())
    assert FAST in [(a.kernel, a.point) for a in program.placement]


def test_settling_fits_in_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faster = {START: 1.0}

    def ever_faster(choice: Choice) -> float:
        return faster.setdefault(choice, min(faster.values()) * 0.99) * 1e-3

    pool = install(monkeypatch, ever_faster)
    _, events, _ = run(tmp_path / "t.db", tasks=several(), seconds=30.0)
    assert events[-1]["seconds"] <= 30.0
    assert "duel" in kinds(events) and events[-1]["unsettled"] == 0
    assert len(pool.measured) >= 10


def test_tasks_without_time_for_a_duel_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tasks = tmp_path / "t.db", several()
    starts = {t.start for t in tasks}

    def stop(event: Event) -> None:
        if event["event"] == "settling":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    install(monkeypatch, lambda choice: 1e-3 if choice in starts else 0.5e-3)
    _, events, _ = run(path, 30, hear=stop, tasks=tasks)
    assert events[-1]["unsettled"] == 3
    pool = install(monkeypatch, lambda choice: 1e-3 if choice in starts else 0.5e-3, wall=4.0)
    _, events, _ = run(path, tasks=tasks, seconds=22.0)
    assert events[-1]["seconds"] <= 22.0
    assert len(pool.duelled) >= 1 and events[-1]["unsettled"] == 3 - len(pool.duelled) > 0


def test_the_first_interrupt_settles_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = install(monkeypatch, law)

    def press(event: Event) -> None:
        if event["event"] == "trial" and event["kernel"] == FAST[0] and event["ms"] == 0.5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    (found,), events, _ = run(tmp_path / "t.db", hear=press)
    assert signal.getsignal(signal.SIGINT) == before
    told = kinds(events)
    assert told[-4:] == ["interrupted", "settling", "duel", "done"]
    assert told[told.index("interrupted") - 1] == "trial", "said at once"
    assert found.settled == FAST and pool.duelled == [FAST]
    assert events[-1]["interrupted"] and not events[-1]["unsettled"]


def test_the_second_interrupt_stops_and_keeps_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = install(monkeypatch, law)

    def press(event: Event) -> None:
        fast = event["event"] == "trial" and event["ms"] == 0.5
        if fast or event["event"] == "settling":
            os.kill(os.getpid(), signal.SIGINT)

    (found,), events, _ = run(tmp_path / "t.db", hear=press)
    assert kinds(events)[-3:] == ["settling", "stopped", "done"]
    assert not pool.duelled and found.settled == START
    assert events[-1]["interrupted"] and events[-1]["unsettled"] == 1
    with Store(tmp_path / "t.db", write=False) as store:
        assert store.counts().trials == len(pool.measured) == kinds(events).count("trial")


def other_process(path: Path, choices: list[Choice]) -> None:
    """Store trials of `choices` as another tuner does."""
    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        for choice in choices:
            journal.keep(task(), choice, Outcome("ok", (2e-3,) * 3))


def test_what_another_tuner_measured_meanwhile_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, path = install(monkeypatch, law), tmp_path / "t.db"
    theirs = OTHERS[: len(OTHERS) // 2]
    told: list[Event] = []

    def hear(event: Event) -> None:
        told.append(event)
        if kinds(told).count("trial") == 1 and event["event"] == "trial":
            done = [c for c in theirs if c not in pool.measured]
            other_process(path, done)

    (found,), _, _ = run(path, hear=hear)
    assert len(pool.measured) <= 1 + len(OTHERS) - len(theirs) + 1
    assert not set(theirs) & set(pool.measured[1:])
    assert len(set(pool.measured)) == len(pool.measured)
    assert found.trials == len(OTHERS) + 1, "theirs count in the budget and the result"


def test_a_winner_of_another_tuner_is_what_has_to_be_beaten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, second = tmp_path / "t.db", OTHERS[0]
    pool = install(monkeypatch, lambda c: 0.7e-3 if c == second else law(c))

    def hear(event: Event) -> None:
        if event["event"] == "start":
            with Store(path) as store:
                journal = Journal(store, TARGET, device())
                journal.keep(task(), second, Outcome("ok", (0.7e-3,) * 3))
                journal.settle(task(), second, pool.fight(second, START, 40), START)

    (found,), events, _ = run(path, hear=hear)
    (duel,) = (event for event in events if event["event"] == "duel")
    assert duel["against_ms"] == pytest.approx(0.7) and found.settled == FAST
    assert events[-1]["tuned"] == 1


def test_different_seeds_measure_in_different_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = []
    for seed in (1, 2):
        pool = install(monkeypatch, law)
        run(tmp_path / f"{seed}.db", 20, tasks=several(), seed=seed)
        orders.append(pool.measured)
    assert orders[0] != orders[1] and len(orders[0]) == len(orders[1])


def test_a_run_in_which_all_failed_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, lambda choice: None)
    _, _, tuner = run(tmp_path / "t.db", 5)
    with pytest.raises(TuningError, match="all 5 trials of this run failed, 5 of them because: no"):
        tuner.refuse_failures()
    install(monkeypatch, law)
    _, _, tuner = run(tmp_path / "u.db", 5)
    tuner.refuse_failures()


def test_a_fake_pool_is_as_the_real_one() -> None:
    from codesign.tune.pool import Pool

    assert {"idle", "busy", "measuring", "give", "poll"} <= set(dir(Pool)) & set(dir(FakePool))
    assert isinstance(network(), Program)
