"""`codesign db`: list, merge, export and prune, their JSON and exit codes."""

from pathlib import Path

import pytest

from codesign.tune.store import Store
from tests.cli.running import Cli, Done
from tests.tune.samples import DEVICE, FAR, fill, trial


@pytest.fixture
def database(tmp_path: Path) -> Path:
    kept = [trial(1), trial(2, 0.25), trial(3, None), trial(4, 0.125, device=FAR.key)]
    fill(Store(tmp_path / "x.db"), *kept).close()
    return tmp_path / "x.db"


def refused(done: Done, code: int, *words: str) -> None:
    assert done.code == code, done
    assert done.err.startswith("error: ") and len(done.err.strip().splitlines()) == 1
    assert all(word in done.err for word in words), done.err


def trials(path: Path) -> int:
    with Store(path, write=False) as store:
        return store.counts().trials


def test_help_names_the_verbs(cli: Cli) -> None:
    assert "db" in cli("--help").out
    done = cli("db", "--help")
    assert done.code == 0
    assert all(verb in done.out for verb in ("list", "merge", "export", "prune"))
    for verb in ("list", "merge", "export", "prune"):
        out = cli("db", verb, "-h").out
        assert "--json" in out and "--quiet" in out


def test_list_as_json(cli: Cli, database: Path) -> None:
    done = cli("db", "list", database, "--json")
    assert done.code == 0 and done.err == ""
    found = done.json
    assert (found["trials"], found["tasks"]) == (4, 1)
    assert found["devices"] == [
        {**DEVICE.fingerprint, "key": DEVICE.key},
        {**FAR.fingerprint, "key": FAR.key},
    ]
    assert found["statuses"]["failed"] == 1 and found["statuses"]["ok"] == 3
    assert [row["best_ms"] for row in found["rows"]] == [250, 125]


def test_list_as_table(cli: Cli, database: Path) -> None:
    out = cli("db", "list", database).out
    assert "4 trials of 1 tasks" in out and "conv-direct" in out and "250.0" in out
    assert f"device {DEVICE.key[:8]}: " in out and "Testium 3" in out


def test_list_of_an_empty_store(cli: Cli, tmp_path: Path) -> None:
    Store(tmp_path / "x.db").close()
    assert "0 trials of 0 tasks" in cli("db", "list", tmp_path / "x.db").out
    found = cli("db", "list", tmp_path / "x.db", "--json").json
    assert (found["trials"], found["tasks"], found["devices"]) == (0, 0, [])


def test_export_then_merge_twice(cli: Cli, database: Path, tmp_path: Path) -> None:
    out, new = tmp_path / "x.jsonl", tmp_path / "new.db"
    assert cli("db", "export", database, "-o", out, "--json").json["trials"] == 4
    assert len(out.read_text().splitlines()) == 4
    first = cli("db", "merge", new, out, database, "--json")
    assert [row["added"] for row in first.json["sources"]] == [4, 0]
    assert first.json["trials"] == 4
    again = cli("db", "merge", new, out)
    assert again.code == 0 and "0 of 4 trials are new" in again.err
    assert "has 4 trials" in again.out
    assert cli("db", "export", database, "-o", database).code == 2
    assert trials(database) == 4


def test_prune_only_tells_until_told_to(cli: Cli, database: Path) -> None:
    arguments = ("db", "prune", database, "--keep", 1, "--failed")
    told = cli(*arguments)
    assert told.code == 0 and "would drop 2 trials (1 failed, 1 slower), 2 stay" in told.out
    told = cli(*arguments, "--dry-run", "--json")
    assert (told.json["done"], told.json["dropped"], trials(database)) == (False, 2, 4)
    done = cli(*arguments, "--yes", "--json")
    assert done.code == 0 and (done.json["done"], done.json["dropped"]) == (True, 2)
    assert (done.json["failed"], done.json["slower"], done.json["kept"]) == (1, 1, 2)
    assert trials(database) == 2


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("export", "-o", "out.jsonl"), ("prune", "--keep", "1", "--yes"), ("merge", "y")],
)
def test_a_database_that_is_not_there_exits_2_and_is_not_made(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    verb, *rest = arguments
    refused(cli("db", verb, tmp_path / "x.db", *rest), 2, "does not exist")
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_exit_2(cli: Cli, database: Path) -> None:
    refused(cli("db", "prune", database), 2, "give --keep N, --failed, or both")
    for arguments in ((), ("list",), ("prune", database, "--keep", 0), ("export", database)):
        assert cli("db", *arguments).code == 2
    assert trials(database) == 4


@pytest.mark.parametrize("verb", ["list", "merge", "export", "prune"])
def test_a_file_that_is_no_database_exits_1(
    cli: Cli, database: Path, tmp_path: Path, verb: str
) -> None:
    bad = tmp_path / "bad.db"
    bad.write_text("a thesis, chapter one\n" * 99)
    rest = {
        "list": (),
        "merge": (database,),
        "export": ("-o", tmp_path / "out"),
        "prune": ("--keep", 1, "--yes"),
    }[verb]
    refused(cli("db", verb, bad, *rest), 1, str(bad), "is no tuning database")
    assert bad.read_text().startswith("a thesis") and not (tmp_path / "out").exists()
    told = cli("db", verb, bad, *rest, "--json")
    assert told.json["error"]["kind"] == "StoreError"


def test_a_bad_source_leaves_everything_as_it_was(cli: Cli, database: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{}\n")
    refused(cli("db", "merge", tmp_path / "new.db", database, bad), 1, "line 1 of")
    assert not (tmp_path / "new.db").exists()


def test_what_can_be_read_of_a_damaged_source_is_salvaged(
    cli: Cli, database: Path, tmp_path: Path
) -> None:
    good = tmp_path / "x.jsonl"
    cli("db", "export", database, "-o", good)
    bad = tmp_path / "bad.jsonl"
    bad.write_text(good.read_text() + '{"format": \n')
    new = tmp_path / "new.db"
    refused(cli("db", "merge", new, bad), 1, "line 5 of")
    done = cli("db", "merge", new, bad, database, "--salvage")
    assert done.code == 0 and "4 of 4 trials are new, 1 cannot be read" in done.err
    assert trials(new) == 4
