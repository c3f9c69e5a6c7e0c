"""The verbs on artifacts that run on a simulator."""

from pathlib import Path

import numpy as np
import pytest

from tests.cli.running import Cli, refused
from tests.small import small_input

MODEL = "tests.small:small_program"


@pytest.fixture
def artifact(cli: Cli, tmp_path: Path) -> Path:
    np.savez(tmp_path / "c.npz", x=small_input(4))
    out = tmp_path / "out"
    done = cli(
        "compile", MODEL, "--target", "eyeriss", "--calibration", tmp_path / "c.npz", "-o", out
    )
    assert done.code == 0, done.err
    return out


def test_run_and_bench_say_what_is_modelled(cli: Cli, artifact: Path, tmp_path: Path) -> None:
    done = cli("run", artifact, "--input", tmp_path / "c.npz", "--json")
    assert done.code == 0, done.err
    found = done.json["simulated"]
    assert (found["runs"], found["layers"], found["saturated"]) == (4, 8, 0)
    assert found["macs"] == 4 * 64 * 9 * 16 * (3 + 16)
    bench = cli("bench", artifact, "--json")
    assert bench.code == 0, bench.err
    report = bench.json
    assert report["modelled"] is True and report["cycles"] > 0 and report["energy_uj"] > 0
    assert report["frames_per_second"] == pytest.approx(1e3 / report["latency_ms"])
    assert found["modelled"]["cycles"] == report["cycles"]
    assert [layer["name"] for layer in report["layers"] if layer["macs"]] == ["first", "second"]
    assert report["chip_power_mw"] < report["power_mw"]
    words = cli("bench", artifact, "--layers").out
    assert "modelled, not measured" in words
    assert "mW on the chip" in words and "mW with dram" in words
    assert "modelled" in cli("run", artifact, "--input", tmp_path / "c.npz").out
    refused(cli("bench", artifact, "--trace", tmp_path / "t.json"), 2, "simulated", "no runs")


def test_explain_draws_the_mapping(cli: Cli, artifact: Path) -> None:
    done = cli("explain", artifact, "second", "--json")
    assert done.code == 0, done.err
    found = done.json["mapping"]
    assert found["loop_nest"][0].startswith("dram (input, weight, output): the whole layer")
    assert found["loop_nest"][-1].strip() == "multiply and add"
    assert found["busy_cycles"]["compute"] > 0
    assert {one["resource"] for one in found["doubled"]} >= {"elements along rows"}
    assert all(one["latency"] <= 1 for one in found["doubled"] if "bandwidth" in one["resource"])
    text = cli("explain", artifact, "%second").out
    assert "loop nest" in text and "twice the" in text and "bounds them" not in text
    assert "transfers of dram that do not overlap with computing" in text
    assert "1.000x the time, 1.000x the energy" not in text
    assert text.count("changes nothing") == 1
    assert "runs on the simulator of eyeriss" in cli("explain", artifact).out


def test_where_zeros_are_skipped_they_are_called_so(cli: Cli, tmp_path: Path) -> None:
    data, out = tmp_path / "c.npz", tmp_path / "out"
    np.savez(data, x=small_input(2))
    asked = ("--target", "eyeriss_v2", "--calibration", data)
    done = cli("compile", MODEL, *asked, "-o", out)
    assert done.code == 0 and "runs on the simulator of eyeriss_v2" in done.err
    text = cli("run", out, "--input", data).out
    assert "skipped" in text and "gated" not in text
    assert "skipped" in cli("run", out, "--input", data, "--json").json["simulated"]


def test_totals_of_an_estimate(cli: Cli, tmp_path: Path) -> None:
    text = cli("estimate", MODEL, "--target", "eyeriss", "--passes", "place").out
    total = next(line for line in text.splitlines() if line.startswith("total: "))
    assert all(unit in total for unit in (" ms", " cycles", " uJ", " MACs"))


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_what_was_asked_for_and_buys_nothing_is_said(
    cli: Cli, tmp_path: Path, quiet: tuple[str, ...]
) -> None:
    data = tmp_path / "c.npz"
    np.savez(data, x=small_input(2))
    passes = "factorize-svd,prune-magnitude{sparsity=0.5},assign-bits"
    asked = ("--target", "systolic", "--calibration", data, "--passes", passes)
    done = cli("compile", MODEL, *asked, "-o", tmp_path / "out", *quiet)
    assert done.code == 0, done.err
    remark = next(x for x in done.out.splitlines() if x.startswith("prune-magnitude{"))
    assert "zeros only take less to store" in remark
    assert "factorize-svd: changed nothing" in done.out
    assert "factorize-svd: %first: not done: " in done.out


def test_check_names_layers_that_are_priced_but_cannot_be_compiled(
    cli: Cli, tmp_path: Path
) -> None:
    model, data = "tests.small:attending_model", tmp_path / "c.npz"
    np.savez(data, x=np.random.default_rng(0).normal(size=(3, 6, 16)).astype(np.float32))
    asked = ("--target", "eyeriss", "--json")
    plain = cli("check", model, *asked).json
    coded = cli("check", model, *asked, "--calibration", data).json
    assert plain["in_float"]["need_calibration"] == ["%y"]
    assert coded["in_float"]["need_calibration"] == []
    for found in (plain, coded):
        (layer,) = found["in_float"]["never"]
        assert layer.startswith("%product (matmul: ")
    text = cli("check", model, "--target", "eyeriss", "--calibration", data).out
    assert "cannot be compiled, as eyeriss takes no floats" in text
    given = ("--target", "eyeriss", "--calibration", data)
    done = cli("compile", model, *given, "-o", tmp_path / "out", "-q")
    refused(done, 1, "in float: %product")
    on_cpu = cli("check", model, "--target", "cpu", "--json").json
    assert on_cpu["in_float"] == {"never": [], "need_calibration": []}


def test_models_that_take_no_sample_are_refused(cli: Cli, tmp_path: Path) -> None:
    model, out = "tests.small:empty_model", tmp_path / "out"
    one, none = tmp_path / "one.npz", tmp_path / "none.npz"
    np.savez(one, x=small_input(2))
    np.savez(none, x=small_input(2)[:0])
    for data in (one, none):
        done = cli("compile", model, "--target", "eyeriss", "--calibration", data, "-o", out, "-q")
        refused(done, 2, "no sample at a time", "[0, 3, 8, 8]")
    for target in ("eyeriss", "bitfusion", "systolic"):
        done = cli("compile", model, "--target", target, "-o", out, "-q")
        refused(done, 4, "conv has nothing to multiply", "at least one sample")
        assert cli("check", model, "--target", target).code == 4
    done = cli("compile", model, "--target", "cpu", "-o", out, "-q", "--measure", "none")
    assert done.code == 0, done.err
    refused(cli("run", out, "--input", none), 2, "no sample at a time")
