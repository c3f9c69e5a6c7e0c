"""`codesign tune` and what the others tell of its records, with made-up times."""

import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from codesign.cli.tuning import Board
from codesign.compiler import prepare, run_passes
from codesign.mapping.group import Group
from codesign.report import make_report, next_best
from codesign.rewrite.ledger import Ledger
from codesign.runtime.host import device
from codesign.targets.tvm import link
from codesign.tune.duel import Duel
from codesign.tune.informed import informed
from codesign.tune.journal import Journal
from codesign.tune.search import Choice
from codesign.tune.store import Store
from codesign.tune.tuner import Settings
from codesign.tune.work import Task, tasks_of
from tests.cli.running import Cli, refused
from tests.tune.fake_pool import install
from tests.tune.loopback import free_port
from tests.tune.small_task import TARGET, network, task

MODEL = "tests.small:small_program"


def first_task() -> Task:
    """The first convolution of MODEL on the CPU."""
    job = prepare(MODEL, "cpu")
    return next(t for t in tasks_of(run_passes(job)) if t.op == "conv")


def settled(path: Path, seconds: float = 0.5) -> Task:
    """The first task of MODEL; in the database another schedule than the default has won it."""
    found, target = first_task(), prepare(MODEL, "cpu").target
    kernel = found.start[0]
    others = [c for c in found.candidates(target) if c != found.start and c[0] == kernel]
    with Store(path) as store:
        journal = Journal(store, target, device())
        store.add_task(journal.stored(found))
        journal.settle(found, others[0], Duel((seconds,) * 40, (2 * seconds,) * 40), found.start)
    return found


def halves(choice: Choice) -> float:
    """The empty schedule of the generic kernel is the fastest of all."""
    return 0.5e-3 if choice == ("contract", ()) else 1e-3


def test_cycles_and_utilization_follow_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    start = task().start
    other = next(c for c in task().candidates(TARGET) if c[0] == start[0] and c != start)
    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        store.add_task(journal.stored(task()))
        journal.settle(task(), other, Duel((0.5e-3,) * 40, (1e-3,) * 40), start)
    target = informed(TARGET, path)
    kernel, group = target.by_name[other[0]], task().group
    tuned, model = target.cost(kernel, group, other[1]), kernel.cost(group, other[1])
    assert tuned.origin == "tuned" and tuned.latency_ms == pytest.approx(0.5)
    assert tuned.model_ms == tuned.modelled_ms == model.latency_ms == model.modelled_ms
    assert tuned.cycles / model.cycles == pytest.approx(0.5 / model.latency_ms)
    assert tuned.utilization * 0.5 == pytest.approx(model.utilization * model.latency_ms)


def test_kernels_are_compared_by_their_models(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    other = next(c for c in task().candidates(TARGET) if c[0] != task().start[0])
    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        store.add_task(journal.stored(task()))
        journal.settle(task(), other, Duel((500.0,) * 40, (1000.0,) * 40), task().start)
    target = informed(TARGET, path)
    program = target.place(network())
    report = make_report(program, target, Ledger(), None)
    layer = next(x for x in report["layers"] if x["kernel"] == other[0])
    assert layer["origin"] == "tuned" and layer["latency_ms"] == 500e3
    best = next_best(layer["alternatives"])
    assert best is not None
    groups = (Group(program.graph, program.nodes_of(a)) for a in program.placement)
    group = next(g for g in groups if g.name == layer["name"])
    kernel = target.by_name[best]
    want = kernel.cost(group, kernel.default(group)).latency_ms
    assert layer["alternatives"][best]["latency_ms"] == want


def test_explain_estimate_and_the_ledger_tell_what_was_tuned(cli: Cli, tmp_path: Path) -> None:
    path, out = tmp_path / "t.db", tmp_path / "out"
    layer = settled(path).layers[0]
    compiled = cli("compile", MODEL, "-o", out, "--tuning-records", path)
    assert compiled.code == 0, compiled.err
    assert "predicted ms: in the end 1 of 3 layers with schedule and time of a tuning" in (
        compiled.out
    )
    listing = cli("explain", out).out
    assert "tuned: 1 layers have schedule and predicted time of a tuning record" in listing
    one = cli("explain", out, layer).out
    assert "a tuning record: kernel, schedule, predicted time; by the model" in one
    assert "500.0 ms" in one and "both by the model" in one
    estimate = cli("estimate", MODEL, "--tuning-records", path)
    assert "tuned: 1 of" in estimate.out and "500.0" in estimate.out
    rows = cli("estimate", MODEL, "--tuning-records", path, "--json").json["layers"]
    assert sorted({row["origin"] for row in rows}) == ["model", "tuned"]


def test_records_can_be_left_aside(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.db"
    settled(path)
    monkeypatch.setenv("CODESIGN_RECORDS", str(path))
    assert "tuned" in cli("estimate", MODEL).out
    plain = cli("estimate", MODEL, "--tuning-records", "none", "--json").json
    assert {row["origin"] for row in plain["layers"]} == {"model"}
    assert informed(TARGET, "none") is TARGET
    refused(cli("tune", MODEL, "--tuning-records", "none"), 2, "kept somewhere", "./none")
    refused(cli("profile", "--tuning-records", "none"), 2, "kept somewhere")


def tune(cli: Cli, path: Path, *more: object) -> Any:
    return cli("tune", MODEL, "--tuning-records", path, *more)


def test_events_are_json_lines_and_nothing_else(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, halves, wall=0.01)
    monkeypatch.setattr("codesign.cli.progress.LINE_SECONDS", 0.0)
    done = tune(cli, tmp_path / "t.db", "--json")
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.err.splitlines()]
    told = [event["event"] for event in events]
    assert {"progress", "start", "trial", "duel", "settling", "done"} == set(told)
    duel = next(event for event in events if event["event"] == "duel")
    assert (duel["ms"], duel["against_ms"], duel["rounds"]) == pytest.approx((0.5, 1.0, 40))
    assert duel["won"] and duel["kernel"] == "contract" and duel["shape"]
    board, unsure = Board(Settings()), set()
    for event in events[told.index("start") :]:
        board.hear(event)
        assert board.table().row_count == len(done.json["tasks"])
        if "not confirmed" in board.line():
            unsure.add(board.state)
    assert unsure == {"searching"}
    assert done.json["won"] > 0 and done.json["interrupted"] is False
    assert done.json["tasks"][0]["measured_in"] == "duel"
    wrong = cli("tune", "nothing.onnx", "--json")
    assert wrong.code == 2 and json.loads(wrong.err.splitlines()[-1])["event"] == "error"


def test_a_run_without_gain_says_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, lambda choice: 1e-3, wall=0.01)
    done = tune(cli, tmp_path / "t.db", "--trials", 40)
    assert "nothing was faster than the untuned schedules by more than the noise" in done.out
    assert "->" not in done.err
    install(monkeypatch, halves, wall=0.01)
    again = tune(cli, tmp_path / "u.db", "--trials", 10_000)
    assert "nothing was faster" not in again.out and "0.50x" in again.out
    last = tune(cli, tmp_path / "u.db", "--trials", 10_000)
    assert "nothing was faster than what was settled before by more than the noise" in last.out


def test_db_list_and_tune_count_alike_and_name_tasks(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, halves, wall=0.01)
    path = tmp_path / "t.db"
    done = tune(cli, path, "--json")
    listed = cli("db", "list", path, "--json").json
    assert listed["trials"] == done.json["trials"] and listed["duels"] == done.json["won"] > 0
    names = {row["name"] for row in listed["rows"]}
    assert any(name.startswith("conv") and "16x3x3x3" in name and "->" in name for name in names)
    text = cli("db", "list", path).out
    assert "settled ms" in text and "16x3x3x3" in text
    with Store(path) as store:
        journal = Journal(store, prepare(MODEL, "cpu").target, device(), bare=True)
        store.add_task(journal.stored(first_task()))
    assert len(cli("db", "list", path, "--json").json["rows"]) == len(listed["rows"])
    assert "1 points of profiles are not shown; --all shows them" in cli("db", "list", path).out
    every = cli("db", "list", path, "--all", "--json").json["rows"]
    assert len(every) == len(listed["rows"]) + 1
    out = cli("db", "export", path, "-o", tmp_path / "x.jsonl").out
    assert f"wrote {listed['trials']} trials and {listed['duels']} duels won" in out


def test_a_run_in_which_all_trials_fail_exits_1_with_the_reason(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, lambda choice: None, wall=0.01)
    done = tune(cli, tmp_path / "t.db", "--trials", 6, "-q")
    assert done.code == 1
    assert "all 6 trials of this run failed, 6 of them because: no such instruction" in done.err


def test_interruption_is_told_at_once_and_how_to_go_on(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = install(monkeypatch, halves, wall=0.01)

    def law(choice: Choice) -> float:
        if len(pool.measured) == 30:
            os.kill(os.getpid(), signal.SIGINT)
        return halves(choice)

    pool.law = law
    done = tune(cli, tmp_path / "t.db")
    assert done.code == 0
    told = done.err.splitlines()
    assert any("press Ctrl-C again to stop at once" in line for line in told)
    assert told[-1] == "interrupted; run it again to go on from here"


def test_nothing_that_links_is_told_before_any_work(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "linkers", lambda machine: iter(()))
    at = f"127.0.0.1:{free_port()}"
    arguments = ("--target", "cpu{isa=arm}", "--rpc-tracker", at, "--rpc-key", "pi4")
    for verb in (("tune", "missing.onnx"), ("profile",)):
        done = cli(*verb, *arguments)
        refused(done, 1, "nothing here can link", "aarch64", "ziglang")


def test_commands_for_tracker_and_server_are_told_before_any_work(cli: Cli) -> None:
    at = f"127.0.0.1:{free_port()}"
    done = cli("tune", "missing.onnx", "--rpc-tracker", at, "--rpc-key", "pi4")
    port = at.rpartition(":")[2]
    refused(
        done, 1, f"python -m tvm.exec.rpc_tracker --port {port}",
        f"python -m tvm.exec.rpc_server --tracker {at} --key pi4",
    )  # fmt: skip


def test_a_missing_xgboost_is_told_before_any_work(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    assert importlib.util.find_spec("xgboost") is None
    command = 'pip install -c constraints.txt -e ".[tune]"'
    refused(cli("tune", "missing.onnx"), 1, command)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert command in readme
