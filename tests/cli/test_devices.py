"""Remote devices from the command line: named, missing, and records kept apart by device."""

from pathlib import Path

import pytest

from codesign.cli.request import parse_tracker
from codesign.errors import CodesignWarning, UsageError
from codesign.tune.duel import Duel
from codesign.tune.informed import informed
from codesign.tune.journal import Journal
from codesign.tune.store import Store
from tests.cli.running import Cli
from tests.tune.loopback import free_port
from tests.tune.small_task import TARGET, network, task


def test_a_tracker_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    at = f"127.0.0.1:{free_port()}"
    done = cli(
        "tune", "tests.small:small_program", "--rpc-tracker", at, "--rpc-key", "pi",
        "--tuning-records", tmp_path / "t.db",
    )  # fmt: skip
    assert done.code == 1 and f"no RPC tracker answers at {at}" in done.err
    assert "Traceback" not in done.err


def test_a_key_needs_a_tracker_and_a_tracker_a_key() -> None:
    assert parse_tracker(None, None) is None
    with pytest.raises(UsageError, match="without --rpc-tracker"):
        parse_tracker(None, "pi")
    with pytest.raises(UsageError, match="without --rpc-key"):
        parse_tracker("h:1", None)


def test_records_of_a_remote_device_are_used_where_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    other = next(c for c in task().candidates(TARGET) if c != task().start)
    with Store(path) as store:
        journal = Journal(store, TARGET, {"rpc_key": "pi"})
        store.add_task(journal.stored(task()))
        journal.settle(task(), other, Duel((0.5,) * 40, (1.0,) * 40), task().start)
    plain = TARGET.place(network()).placement
    assert informed(TARGET, path).place(network()).placement == plain
    with pytest.warns(CodesignWarning, match="nothing in .* was measured .* key elsewhere"):
        assert informed(TARGET, path, "elsewhere").place(network()).placement == plain
    named = informed(TARGET, path, "pi").place(network()).placement
    assert [(a.kernel, a.point) for a in named if a.kernel == other[0]] == [other]
