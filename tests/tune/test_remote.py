"""Remote devices over a loopback tracker: measured, lost while measuring, and never there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import TuningError, UsageError
from codesign.runtime.host import architecture
from codesign.tune import remote
from codesign.tune.journal import Journal
from codesign.tune.remote import DeviceLostError, Remote, Tracker
from codesign.tune.store import Store
from codesign.tune.timing import Limits, Subject, trial
from codesign.tune.tuner import Settings, Tuner
from tests.tune.loopback import KEY, devices, free_port, kill
from tests.tune.small_task import TARGET, sent, task

pytestmark = pytest.mark.skipif(architecture() != "x86_64", reason="the target is avx2")
QUICK = Limits(0.005, 3, 5)
DEVICE = {"rpc_key": KEY}


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Tracker, list[subprocess.Popen[bytes]]]]:
    with devices(2) as found:
        yield found


def test_a_candidate_is_checked_and_timed_on_the_device(two: Any) -> None:
    tracker, _ = two
    assert tracker.count() == 2
    subject = Subject(sent(), sent().graph(), TARGET, Remote(tracker))
    outcome = trial(subject, *task().start, None, QUICK)
    assert outcome.status == "ok", outcome
    assert 3 <= len(outcome.seconds) <= 5 and min(outcome.seconds) > 0
    bad = {name: array + 1 for name, array in sent().expected.items()}
    wrong = Subject(
        type(sent())(**{**sent().__dict__, "expected": bad}), sent().graph(), TARGET, subject.bench
    )
    assert trial(wrong, *task().start, None, QUICK).status == "wrong"


def test_two_contenders_share_a_session(two: Any) -> None:
    tracker, _ = two
    bench = Remote(tracker)
    subject = Subject(sent(), sent().graph(), TARGET, bench)
    other = next(c for c in task().candidates(TARGET) if c != task().start)
    with subject.built(*task().start) as one, subject.built(*other) as another:
        assert one.time() > 0 and another.time() > 0
        assert bench.loaded == 2
    assert bench.session is None


def test_a_device_that_dies_loses_no_trial_and_the_other_goes_on(tmp_path: Path, two: Any) -> None:
    tracker, servers = two
    events: list[dict[str, Any]] = []

    def hear(event: Any) -> None:
        events.append(dict(event))
        if sum(e["event"] == "trial" for e in events) == 2:
            kill(servers[0])

    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, DEVICE)
        settings = Settings(8, limits=QUICK, tracker=tracker)
        (result,) = Tuner([task()], TARGET, journal, settings, hear).run()
        kept = store.trials()
    assert result.trials == 8
    assert {t.status for t in kept} == {"ok"}
    assert servers[0].poll() is not None and tracker.count() == 1


def test_all_devices_gone_ends_the_run_with_what_was_measured(tmp_path: Path, two: Any) -> None:
    tracker, servers = two
    events: list[str] = []

    def hear(event: Any) -> None:
        events.append(event["event"])
        if events.count("trial") == 2:
            for server in servers:
                kill(server)

    with Store(tmp_path / "t.db") as store:
        settings = Settings(50, limits=QUICK, tracker=tracker)
        tuner = Tuner([task()], TARGET, Journal(store, TARGET, DEVICE), settings, hear)
        with pytest.raises(TuningError, match="what was measured is kept"):
            tuner.run()
        kept = store.trials()
    assert len(kept) >= 2 and {t.status for t in kept} == {"ok"}
    with pytest.raises(DeviceLostError, match=f"no device with key {KEY} is at tracker"):
        tracker.count()


def test_a_tracker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 1.0)
    port = free_port()
    with pytest.raises(DeviceLostError, match=rf"no RPC tracker answers at 127\.0\.0\.1:{port}"):
        Tracker("127.0.0.1", port, KEY).count()


@pytest.mark.parametrize(
    ("text", "key"), [("nowhere", "k"), (":1", "k"), ("h:99999", "k"), ("h:x", "k"), ("h:1", "")]
)
def test_what_names_no_tracker_is_refused(text: str, key: str) -> None:
    with pytest.raises(UsageError, match="--rpc-"):
        Tracker.parse(text, key)
