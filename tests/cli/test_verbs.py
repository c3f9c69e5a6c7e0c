"""Each verb on a small network: what it prints, writes and returns."""

import json
import subprocess
import sys
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from codesign.interpret.evaluate import evaluate
from codesign.profile.table import Profile, profile_path
from codesign.runtime.artifact import open_artifact
from codesign.runtime.host import device
from codesign.targets.tvm.target import Cpu
from tests.cli.running import Cli
from tests.small import small_graph, small_input

MODEL = "tests.small:small_program"
VERBS = (
    "compile",
    "check",
    "tune",
    "profile",
    "estimate",
    "sensitivity",
    "run",
    "bench",
    "show",
    "explain",
    "passes",
    "targets",
    "demo",
    "emit",
)


def test_help_names_every_verb_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom codesign.cli.app import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'numpy', 'torch', 'tvm', 'tvm_ffi', 'onnx', 'yaml', 'pydantic', 'networkx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(verb in done.stdout for verb in VERBS)


def test_version_is_that_of_the_package(cli: Cli) -> None:
    done = cli("--version")
    assert (done.code, done.out) == (0, f"codesign {metadata.version('codesign')}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(cli: Cli, verb: str) -> None:
    done = cli(verb, "--help")
    assert done.code == 0
    assert "--json" in done.out and "--quiet" in done.out


def test_compile_writes_an_artifact_and_shows_the_ledger(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    np.savez(tmp_path / "v.npz", x=small_input(6))
    done = cli("compile", MODEL, "--validation", tmp_path / "v.npz", "-o", out, "--seed", 3)
    assert done.code == 0, done.err
    assert "fold-constants" in done.out and "predicted ms" in done.out and "exact" in done.out
    assert "wrote" in done.err and "linked with" in done.err
    compiled = open_artifact(out)
    assert compiled.manifest.recipe["seed"] == 3
    x = small_input()
    want = evaluate(small_graph(), {"x": x})["out"]
    np.testing.assert_allclose(compiled.run({"x": x})["out"], want, rtol=1e-4, atol=1e-5)


def test_the_ledger_tells_on_how_many_samples_it_scored(cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", x=small_input(70))
    plain = cli("compile", MODEL, "--validation", tmp_path / "plain.npz", "-o", tmp_path / "a")
    assert "SNR: outputs against those of the model as it came" in plain.out
    assert "the first 64 of 70 validation samples" in plain.out
    assert "input: the model as it came" in plain.out
    np.savez(tmp_path / "l.npz", x=small_input(6), labels=np.arange(6))
    some = cli(
        "compile", MODEL, "--validation", tmp_path / "l.npz", "-o", tmp_path / "b",
        "--score-samples", 4, "--json", "--measure", "none",
    )  # fmt: skip
    row = some.json["ledger"][-1]
    assert (row["samples"], row["samples_of"], row["scored_on"]) == (4, 6, "validation")
    right = evaluate_all(small_input(6))[:4].reshape(4, -1).argmax(axis=1) == np.arange(4)
    assert row["accuracy"] == right.mean()
    every = cli(
        "compile", MODEL, "--calibration", tmp_path / "l.npz", "-o", tmp_path / "b",
        "--score-samples", 0, "--measure", "none",
    )  # fmt: skip
    assert "accuracy: in the interpreter, on all 6 calibration samples" in every.out


def evaluate_all(x: np.ndarray) -> np.ndarray:
    return np.concatenate([evaluate(small_graph(), {"x": row[None]})["out"] for row in x])


def test_compile_as_json_is_one_object_with_measured_rows(cli: Cli, tmp_path: Path) -> None:
    done = cli("compile", MODEL, "-o", tmp_path / "out", "--json", "--threads", 2)
    assert done.code == 0, done.err
    rows = done.json["ledger"]
    assert rows[0]["step"] == "input"
    assert rows[0]["measured_ms"] > 0 and rows[-1]["measured_ms"] > 0
    assert rows[1]["measured_ms"] is None
    assert done.json["target"].endswith("threads=2}")
    assert open_artifact(tmp_path / "out").threads == 2


def test_dry_run_writes_nothing_and_prints_a_recipe_that_repeats(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = cli("compile", MODEL, "-o", out, "--passes", "dead-code", "--dry-run")
    assert first.code == 0 and not out.exists()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(first.out)
    again = cli("compile", MODEL, "-o", out, "--recipe", recipe, "--dry-run")
    assert again.out == first.out


def test_set_changes_the_recipe(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "compile", MODEL, "-o", tmp_path / "out", "--dry-run", "--json",
        "--set", "seed=9", "--set", "fold-constants.max_elements=7",
        "--set", "target=cpu{threads=2}",
    )  # fmt: skip
    recipe = done.json["recipe"]
    assert recipe["seed"] == 9 and "threads=2" in recipe["target"]
    assert {"fold-constants": {"max_elements": 7}} in recipe["passes"]


def test_check_tells_the_kernel_of_each_op(cli: Cli) -> None:
    done = cli("check", MODEL, "--json")
    assert done.code == 0, done.err
    ops = {op["name"]: op for op in done.json["ops"]}
    assert done.json["supported"]
    assert set(ops) == {"first", "first.relu", "second", "sum", "last"}
    assert ops["first.relu"]["fused_into"] == "first"
    assert ops["last"]["kernel"] == ops["second"]["kernel"]
    assert "5 of 5 ops have a kernel" in cli("check", MODEL).out


def test_check_of_an_unsupported_op_names_refusals_and_exits_4(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from codesign.mapping.refusal import Refusal
    from codesign.targets.tvm.kernel import CpuKernel
    from codesign.targets.tvm.patterns import table

    def refuse(self: CpuKernel, group: object) -> Refusal:
        return Refusal("a square kernel", "this one is round", "flatten it")

    for kernel in table.KERNELS:
        if "conv" in kernel.anchors:
            monkeypatch.setattr(kernel, "refuse", refuse)
    done = cli("check", MODEL, "--json")
    assert done.code == 4
    op = next(op for op in done.json["ops"] if op["name"] == "first")
    assert op["kernel"] is None
    assert {
        "demand": "a square kernel",
        "bound": "this one is round",
        "gap": "",
        "remedy": "flatten it",
    } in (op["refusals"].values())
    text = cli("check", MODEL)
    assert text.code == 4 and "a square kernel, but this one is round; flatten it" in text.out


def test_estimate_has_the_documented_fields(cli: Cli) -> None:
    done = cli("estimate", MODEL, "--json")
    assert done.code == 0, done.err
    fields = {"name", "op", "macs", "cycles", "latency_ms", "energy_uj", "utilization", "bound"}
    layers = done.json["layers"]
    assert all(fields | {"traffic_bytes"} <= set(layer) for layer in layers)
    assert done.json["total"]["macs"] == sum(layer["macs"] for layer in layers)
    assert "total:" in cli("estimate", MODEL).out


def test_run_writes_what_the_program_answers(cli: Cli, artifact: Path, tmp_path: Path) -> None:
    x = small_input(3)
    np.savez(tmp_path / "in.npz", x=x, labels=np.array([0, 1, 2]))
    done = cli(
        "run", artifact, "--input", tmp_path / "in.npz", "--output", tmp_path / "o.npz", "--json"
    )
    assert done.code == 0, done.err
    assert done.json["samples"] == 3 and 0 <= done.json["accuracy"] <= 1
    with np.load(tmp_path / "o.npz") as found:
        for i in range(3):
            want = evaluate(small_graph(), {"x": x[i : i + 1]})["out"]
            np.testing.assert_allclose(found["out"][i : i + 1], want, rtol=1e-4, atol=1e-5)
    text = cli("run", artifact, "--input", tmp_path / "in.npz", "--print-time")
    assert "out: float32 3x16x8x8" in text.out and "ms a sample" in text.out


def test_bench_writes_a_trace_of_every_step_in_order(
    cli: Cli, artifact: Path, tmp_path: Path
) -> None:
    done = cli("bench", artifact, "--seconds", 0.01, "--trace", tmp_path / "t.json", "--json")
    assert done.code == 0
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X" and e["cat"] == "layer"]
    runs = [e for e in events if e["ph"] == "X" and e["cat"] == "run"]
    steps = open_artifact(artifact).manifest.plan.steps
    assert [e["name"] for e in slices] == [step.layer for step in steps] * len(runs)
    for one, after in pairwise(slices):
        assert after["ts"] == pytest.approx(one["ts"] + one["dur"])
    assert sum(e["dur"] for e in slices) == pytest.approx(sum(e["dur"] for e in runs))
    assert all(e["args"]["kernel"] for e in slices)
    assert "wrote" in done.err
    assert cli("bench", artifact, "--trace", tmp_path / "no" / "t.json").code != 0


def test_bench_gives_percentiles_in_order(cli: Cli, artifact: Path) -> None:
    done = cli("bench", artifact, "--seconds", 0.05, "--layers", "--threads", 2, "--json")
    assert done.code == 0, done.err
    latency = done.json["latency_ms"]
    assert 0 < latency["p10"] <= latency["median"] <= latency["p90"]
    assert done.json["threads"] == 1 and done.json["runs"] >= 10
    assert "compiled for 1 thread; compile with --threads 2" in done.err
    assert {"first", "second"} <= {row["name"] for row in done.json["layers"]}
    assert "median" in cli("bench", artifact, "--seconds", 0.05).out


def test_show_prints_text_that_parses_back(cli: Cli, artifact: Path) -> None:
    from codesign.ir.parse import parse_program
    from codesign.ir.text import named_constants

    done = cli("show", MODEL)
    assert done.code == 0
    assert parse_program(done.out, named_constants(small_graph())).graph == small_graph()
    placed = cli("show", artifact)
    assert 'place "cpu' in placed.out and "5 ops" not in placed.err
    assert cli("show", MODEL, "--json").json["macs"] == 8 * 8 * 9 * 16 * 19


def test_explain_lists_layers_and_tells_all_about_one(cli: Cli, artifact: Path) -> None:
    listing = cli("explain", artifact)
    assert listing.code == 0 and "%first" in listing.out and "predicted" in listing.out
    one = cli("explain", artifact, "%first.relu")
    assert one.code == 0 and "%first" in one.out and "instead" in one.out
    assert "refuses" not in one.out and "other kernels do not take it" in one.out
    why = cli("explain", artifact, "%first", "-v").out
    assert (
        "conv-pointwise takes a 2d 1x1 convolution whose groups are whole channel blocks, but this "
        "is a 3x3 convolution, 3 to 16 channels on 8x8, padding 1\n"
    ) in why
    layer = cli("explain", artifact, "first", "--json").json
    assert layer["alternatives"] and layer["kernel"] not in layer["alternatives"]
    unknown = cli("explain", artifact, "fisrt")
    assert unknown.code == 2 and "did you mean first" in unknown.err


def test_passes_and_targets_list_and_describe(cli: Cli) -> None:
    assert "fold-batch-norm" in cli("passes").out
    described = cli("passes", "fold-constants")
    assert "max_elements = 1048576: int" in described.out and "Before:" in described.out
    unset = cli("passes", "prune-magnitude").out
    assert "sparsity = 0.5, or as n:m fixes it: float or none" in unset and "= None" not in unset
    assert cli("targets", "cpu", "--json").json["options"][-1]["name"] == "threads"
    names = {entry["name"] for entry in cli("passes", "--json").json["passes"]}
    assert {"place", "layout", "quantize-int8"} <= names


def test_quiet_says_nothing_beside_the_result(cli: Cli, artifact: Path) -> None:
    assert cli("show", artifact, "--quiet").err == ""


def test_a_profile_is_forgotten(cli: Cli, tmp_path: Path) -> None:
    records = tmp_path / "t.db"
    path = profile_path(tmp_path, Cpu().spec, device())
    Profile(Cpu().spec, device(), {}).save(path)
    given = ("profile", "--target", "cpu", "--forget", "--tuning-records", records)
    assert f"dropped the profile of {Cpu().spec} ({path})" in cli(*given).err
    assert not path.exists() and "there is no profile" in cli(*given).err
    assert cli(*given, "--json").json == {"profile": str(path), "dropped": False, "points": 0}


def test_compile_trains_on_training_data(cli: Cli, tmp_path: Path) -> None:
    data, out = tmp_path / "t.npz", tmp_path / "out"
    np.savez(data, x=small_input(8))
    passes = "prune-magnitude{min_elements=1},recover{epochs=2,batch=4}"
    asked = ["compile", MODEL, "--passes", passes, "--measure", "none", "-o", str(out)]
    asked += ["--quiet", "--json"]
    done = cli(*asked)
    assert done.code == 2 and "recover needs training data" in done.err
    done = cli(*asked, "--training", data, "--validation", data)
    assert done.code == 0, done.err
    row = next(r for r in done.json["ledger"] if r["step"].startswith("recover"))
    assert row["remark"].startswith("loss ") and row["snr_db"] > 5
    np.savez(data, y=small_input(8))
    refused = cli(*asked, "--training", data)
    assert refused.code == 2 and "training" in refused.err and "'y'" in refused.err
