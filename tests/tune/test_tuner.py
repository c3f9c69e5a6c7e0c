"""The tuner from end to end: trials kept, resumed, settled, and used by placement."""

from pathlib import Path
from typing import Any

import pytest

from codesign.errors import StoreError, UsageError
from codesign.mapping.group import Group
from codesign.mapping.workload import signature
from codesign.runtime.host import device
from codesign.tune.duel import Duel
from codesign.tune.informed import informed
from codesign.tune.journal import Journal
from codesign.tune.store import Store
from codesign.tune.timing import Limits
from codesign.tune.tuner import Settings, Tuner
from tests.tune.small_task import TARGET, network, task

QUICK = Limits(0.005, 3, 5)


def tune(path: Path, trials: int) -> tuple[list[Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    with Store(path) as store:
        tuner = Tuner(
            [task()],
            TARGET,
            Journal(store, TARGET, device()),
            Settings(trials, limits=QUICK),
            lambda event: events.append(dict(event)),
        )
        return tuner.run(), events


def test_a_run_keeps_its_trials_and_the_next_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    (first,), events = tune(path, 5)
    assert first.trials == 5
    assert next(event["event"] for event in events) == "start"
    assert sum(event["event"] == "trial" for event in events) == 5
    with Store(path, write=False) as store:
        kept = store.trials()
    assert {(t.kernel, t.point) for t in kept} >= {task().start}
    (second,), events = tune(path, 8)
    assert second.trials == 8
    assert sum(event["event"] == "trial" for event in events) == 3
    assert events[0]["recalled"] == 5


def test_compiling_uses_what_won_and_only_that(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    other = next(c for c in task().candidates(TARGET) if c != task().start)
    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        store.add_task(journal.stored(task()))
        journal.settle(task(), other, Duel((0.5,) * 40, (1.0,) * 40), task().start)
    target = informed(TARGET, path)
    program = target.place(network(2))
    found = [a for a in program.placement if a.kernel == other[0]]
    assert [(a.kernel, a.point) for a in found] == [other, other]
    group = Group(program.graph, program.nodes_of(found[0]))
    cost = target.cost(target.by_name[other[0]], group, other[1])
    assert (cost.latency_ms, cost.origin) == (500.0, "tuned")
    assert TARGET.place(network(2)).placement != program.placement


@pytest.mark.parametrize("stale", ["version", "device", "target"])
def test_what_was_measured_of_something_else_is_not_used(tmp_path: Path, stale: str) -> None:
    path = tmp_path / "t.db"
    other = next(c for c in task().candidates(TARGET) if c != task().start)
    target = TARGET if stale != "target" else type(TARGET)("avx2", 2)
    fingerprint = device() if stale != "device" else {"cpu": "another"}
    with Store(path) as store:
        journal = Journal(store, target, fingerprint)
        if stale == "version":
            journal.versions = dict.fromkeys(journal.versions, "older")
        store.add_task(journal.stored(task()))
        journal.settle(task(), other, Duel((0.5,) * 40, (1.0,) * 40), task().start)
    work = signature(Group(task().graph, tuple(task().graph.by_name[n] for n in task().nodes)))
    assert informed(TARGET, path).records.best(work) is None


def test_records_that_are_damaged_stop_nobody_who_did_not_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    path.write_text("no database")
    with pytest.raises(StoreError, match=r"t\.db"):
        informed(TARGET, path)
    monkeypatch.setenv("CODESIGN_RECORDS", str(path))
    with pytest.warns(UserWarning, match="without tuning records"):
        assert informed(TARGET) is TARGET
    monkeypatch.setenv("CODESIGN_RECORDS", str(tmp_path / "none.db"))
    assert informed(TARGET) is TARGET
    with pytest.raises(UsageError, match="are not there"):
        informed(TARGET, tmp_path / "none.db")


def test_a_file_that_never_became_a_database_is_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.touch()
    assert informed(TARGET, path).records.best("any") is None
    tune(path, 1)
    with Store(path, write=False) as store:
        assert store.counts().trials == 1
