"""Export, import, merging and pruning."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import ArtifactError, StoreError, UsageError
from codesign.tune.exchange import export, merge, print_record, read, records
from codesign.tune.prune import Pruned, Rule, prune
from codesign.tune.ranking import Entry
from codesign.tune.store import Store
from codesign.tune.summary import summary
from codesign.tune.trial import Task
from tests.tune.samples import DEVICE, FAR, OTHER, TASK, fill, record, trial

KEPT = (
    trial(1),
    trial(2, None, message="it\nbroke"),
    trial(3, 0.25, device=FAR.key),
    trial(1, 0.75),
    trial(1, task=OTHER.key),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return fill(Store(tmp_path / "x.db"), *KEPT)


def test_export_and_import_give_everything_back(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    assert export(store, out) == len(KEPT)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [0.5, None, 0.25, 0.75, 0.5]
    assert lines[2]["device"] == FAR.fingerprint and lines[4]["task"]["op"] == "linear"
    assert lines[0]["point"] == {"tile": 1, "order": ["oc", "ic"], "unroll": True}
    assert read(out) == records(store) == [record(one) for one in KEPT]
    with Store(tmp_path / "new.db") as new:
        assert merge(new, out) == (len(KEPT), len(KEPT))
        assert new.trials() == list(KEPT)
        assert new.tasks() == [TASK, OTHER] and new.devices() == [DEVICE, FAR]
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.db", "x.jsonl", "new.db"}


def test_merging_again_adds_nothing(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "x.jsonl"
    export(store, out)
    with fill(Store(tmp_path / "y.db"), trial(1), trial(9)) as into:
        assert merge(into, store.path) == (4, 5)
        before = into.trials()
        assert [merge(into, source) for source in (store.path, out)] == [(0, 5), (0, 5)]
        assert merge(into, into.path) == (0, 6)
        assert into.trials() == before == [trial(1), trial(9), *KEPT[1:]]


def test_exported_files_can_be_joined(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "x.jsonl")
    text = (tmp_path / "x.jsonl").read_text()
    (tmp_path / "two.jsonl").write_text(text + "\n" + print_record(record(trial(7))) + "\r\n\n")
    assert [one.trial for one in read(tmp_path / "two.jsonl")] == [*KEPT, trial(7)]


GOOD = print_record(record(trial()))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (GOOD[:-20], "no JSON"),
        (GOOD.replace("trial/1", "trial/2"), "format"),
        ("[]", "format"),
        ('"text"', "format"),
        (GOOD.replace('"seconds": 0.5', '"seconds": Infinity'), "Infinity"),
        (GOOD.replace('"seconds": 0.5', '"seconds": 1e999'), "low, seconds, high"),
        (GOOD.replace('"seconds": 0.5', '"seconds": "0.5"'), "low, seconds, high"),
        (GOOD.replace('"seconds"', '"second"'), "second"),
        (GOOD.replace('"op": "conv", ', ""), "op"),
        (GOOD.replace('"flops": 2000000', '"flops": 1.5'), "flops"),
        (GOOD.replace('"tile": 0', '"tile": null'), "point"),
        (GOOD.replace('{"op"', '["op"').replace('000}, "device"', '000], "device"'), "JSON"),
        (GOOD.replace('"point": {', '"point": [1], "at_": {'), "point"),
        (GOOD.replace('"cpu", "flops"', '3, "flops"'), "target"),
        ("\0", "JSON"),
    ],
)
def test_a_line_that_is_no_trial_is_named_and_nothing_is_merged(
    tmp_path: Path, line: str, words: str
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{print_record(record(trial(1)))}\n{line}\n")
    with fill(Store(tmp_path / "x.db"), trial(5)) as into:
        with pytest.raises(StoreError, match=rf"line 2 of .*x.jsonl is no trial.*{words}"):
            merge(into, path)
        assert into.trials() == [trial(5)]


def test_sources_that_are_none(tmp_path: Path) -> None:
    with Store(tmp_path / "x.db") as into:
        with pytest.raises(UsageError, match="does not exist"):
            merge(into, tmp_path / "y.db")
        with pytest.raises(StoreError, match="is a folder"):
            merge(into, tmp_path)
        (tmp_path / "bytes").write_bytes(os.urandom(5000))
        with pytest.raises(StoreError, match="line 1 of"):
            merge(into, tmp_path / "bytes")
        (tmp_path / "empty").touch()
        assert merge(into, tmp_path / "empty") == (0, 0)


def test_an_export_that_fails_leaves_the_older_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.jsonl"
    out.write_text("older")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ArtifactError, match="the disk is full"):
            export(store, out)
    assert out.read_text() == "older"
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.db", "x.jsonl"}
    assert export(store, out) == 5 and out.read_text() != "older"


def test_no_database_is_overwritten(store: Store, tmp_path: Path) -> None:
    Store(tmp_path / "y.db").close()
    for path in (store.path, tmp_path / "y.db"):
        with pytest.raises(UsageError, match="is not overwritten"):
            export(store, path)
    assert store.trials() == list(KEPT)
    with pytest.raises(ArtifactError, match="is a folder"):
        export(store, tmp_path)
    with pytest.raises(ArtifactError, match="No such file"):
        export(store, tmp_path / "none" / "x.jsonl")


def tiles(store: Store) -> list[object]:
    return [dict(one.point)["tile"] for one in store.trials()]


def test_prune_keeps_the_best_of_each_task_device_kernel_and_version(tmp_path: Path) -> None:
    store = fill(
        Store(tmp_path / "x.db"),
        *(trial(n, 1.0 + n) for n in range(4)),
        trial(0, 1.5),
        *(trial(n, 2.0 + n, version="2") for n in (10, 11, 12)),
        *(trial(n, 3.0 + n, kernel="other") for n in (20, 21, 22)),
        trial(30, 9.0, device=FAR.key),
        trial(40, None),
    )
    rule = Rule(keep=2)
    assert prune(store, rule, dry_run=True) == Pruned(0, 0, 4, 9)
    assert store.counts().trials == 13
    assert prune(store, rule) == Pruned(0, 0, 4, 9)
    assert tiles(store) == [0, 1, 0, 10, 11, 20, 21, 30, 40]
    assert prune(store, rule) == Pruned(0, 0, 0, 9)
    assert prune(store, Rule(keep=1)) == Pruned(0, 0, 3, 6)
    assert tiles(store) == [0, 0, 10, 20, 30, 40]


def test_prune_drops_stale_versions_but_no_kernels_that_it_does_not_know(tmp_path: Path) -> None:
    store = fill(
        Store(tmp_path / "x.db"),
        trial(1, 0.1, version="0"),
        trial(2, None, version="0"),
        trial(3, 0.3),
        trial(4, 0.4),
        trial(5, 0.5, kernel="of another target", version="0"),
    )
    rule = Rule(keep=1, versions={"conv-direct": "1"}, failed=True)
    assert prune(store, rule) == Pruned(stale=2, failed=0, slower=1, kept=2)
    assert tiles(store) == [3, 5]


def test_prune_of_failures_forgets_no_wrong_point_into_being_best(tmp_path: Path) -> None:
    store = fill(
        Store(tmp_path / "x.db"),
        trial(1, 0.1),
        trial(1, None, status="wrong"),
        trial(2, 0.2),
        trial(2, None, status="killed"),
        trial(3, None, status="hung"),
    )
    assert prune(store, Rule(keep=1)).dropped == 0
    assert prune(store, Rule(failed=True)) == Pruned(stale=0, failed=4, slower=0, kept=1)
    assert store.best(TASK.key, DEVICE.key, None) == trial(2, 0.2)
    assert store.tasks() == [TASK], "another process may be about to add trials of it"


def test_prune_makes_the_file_smaller(tmp_path: Path) -> None:
    store = fill(Store(tmp_path / "x.db"), *(trial(n, 1.0 + n) for n in range(500)))
    before = store.path.stat().st_size
    assert prune(store, Rule(keep=1)).slower == 499
    assert store.path.stat().st_size < before / 2


def test_prune_that_cannot_shrink_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = fill(Store(tmp_path / "x.db"), trial(1), trial(2, 0.75))

    def compact(self: Store) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Store, "compact", compact)
    pruned = prune(store, Rule(keep=1))
    assert pruned.slower == 1 and "not made smaller: the disk is full" in pruned.remark
    assert tiles(store) == [1]


def test_prune_refuses_to_keep_nothing() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Rule(keep=0)


MEASURED = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("12"),
        st.integers(0, 3),
        st.sampled_from([None, 0.1, 0.2, 0.3]),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(MEASURED, st.integers(1, 3), st.booleans())
def test_prune_keeps_what_was_best(
    measured: list[tuple[str, str, int, float | None]], keep: int, failed: bool
) -> None:
    from codesign.tune.ranking import ranked

    entries = [
        Entry(i, "t", "d", kernel, version, str(p), "ok" if s else "wrong" if p == 3 else "hung", s)
        for i, (kernel, version, p, s) in enumerate(measured)
    ]
    reasons = Rule(keep=keep, failed=failed).reasons(entries)
    left = [entry for entry in entries if entry.id not in reasons]
    for kernel in "ab":
        for version in "12":
            mine = [e for e in ranked(entries) if (e.kernel, e.version) == (kernel, version)]
            kept = [e for e in ranked(left) if (e.kernel, e.version) == (kernel, version)]
            assert kept == mine[:keep]
    if not failed:
        assert {e.id for e in entries if e.seconds is None} <= {e.id for e in left}
    assert Rule(keep=keep, failed=failed).reasons(left) == {}


def test_summary_has_a_line_a_task_and_device(store: Store) -> None:
    idle = Task("add", "never measured", "cpu", 1)
    store.add_task(idle)
    lines = [line.json() for line in summary(store)]
    assert [(line["op"], line["device"], line["trials"], line["failures"]) for line in lines] == [
        ("conv", DEVICE.key, 3, 1),
        ("conv", FAR.key, 1, 0),
        ("linear", DEVICE.key, 1, 0),
        ("add", None, 0, 0),
    ]
    assert lines[1]["best_ms"] == 250 and lines[1]["gflops"] == 2_000_000 / 0.25 / 1e9
    assert lines[1]["point"] == {"tile": 3, "order": ["oc", "ic"], "unroll": True}
    assert lines[3]["best_ms"] is None and lines[3]["kernel"] is None
