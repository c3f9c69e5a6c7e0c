"""The demo: variants are judged on what was saved, and the peer computes the same network."""

from pathlib import Path

import numpy as np
import pytest

from codesign.cli import demo
from codesign.compiler import compile_job
from codesign.demo import compare, peer
from codesign.demo.data import Samples, load_calibration, load_test
from codesign.ir.graph import Graph
from codesign.rewrite.score import accuracy, answers
from codesign.targets.tvm.host import host_isa
from codesign.targets.tvm.isa import isa
from tests.cli.running import Cli

IMAGES = 200


@pytest.fixture(scope="module")
def folded() -> Graph:
    from codesign.compiler import prepare, run_passes

    job = prepare(compare.load_demo(), "cpu", ["fold-batch-norm", "dead-code"])
    return run_passes(job.unscheduled()).graph


def few(samples: Samples, count: int) -> Samples:
    return Samples(samples.images[:count], samples.labels[:count])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Samples:
    """Fewer images and runs than the demo has."""
    test = few(load_test(), IMAGES)
    for module in (compare, peer):
        monkeypatch.setattr(module, "load_test", lambda: test)
        monkeypatch.setattr(module, "load_calibration", lambda: few(load_calibration(), 32))
    monkeypatch.setattr(compare, "compile_job", lambda job: compile_job(job, "none"))
    return test


def test_peer_computes_the_same_network(folded: Graph, small: Samples, tmp_path: Path) -> None:
    found = answers(folded, compare.dataset(small), IMAGES)[folded.output_names[0]]
    plain, quantized = peer.run_peer(folded, tmp_path)
    assert plain.accuracy == pytest.approx(accuracy(found, small.labels), abs=1 / IMAGES)
    assert quantized.file_bytes < plain.file_bytes / 2
    timed = compare.race([plain, quantized], rounds=2)
    assert [one.name for one in timed] == ["fp32", "int8"]
    assert all(one.latency_ms > 0 for one in timed)


def test_a_variant_is_judged_by_its_saved_artifact(small: Samples, tmp_path: Path) -> None:
    program = compare.load_demo()
    found = compare.run_variant("int8", program, "cpu", tmp_path / "int8", lambda m, d: None)
    reference = answers(program.graph, compare.dataset(small), IMAGES)[
        program.graph.output_names[0]
    ]
    assert abs(found.accuracy - accuracy(reference, small.labels)) <= 0.02
    in_codes = found.weight_bytes < 0.4 * 4 * 107530 < found.file_bytes
    assert in_codes != bool(demo.in_float(found))
    assert in_codes or isa(host_isa()).dot == "none", "dot products of bytes pay"
    assert found.ledger[0]["step"] == "input"
    assert all(row["samples_of"] == IMAGES and row["samples"] for row in found.ledger)
    assert compare.race([found], rounds=2)[0].latency_ms > 0


def test_the_verb_compares_and_keeps_the_artifacts(
    capsys: pytest.CaptureFixture[str],
    small: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compare, "VARIANTS", {"fp32": "default"})
    monkeypatch.setattr(peer, "installed", lambda: False)
    done = Cli(capsys)("demo", "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert "Fashion-MNIST" in done.out and "fold-batch-norm" in done.out
    assert "onnxruntime is not installed" in done.out
    assert (tmp_path / "out" / "default" / "manifest.json").is_file()
    assert np.isfinite(small.images).all()
