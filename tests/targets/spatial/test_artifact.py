"""Artifacts of machines that are simulated: the interpreter's bits, files of their own."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codesign as cd
from codesign.errors import RefusedError, UsageError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.parse import parse_program
from codesign.runtime.compiled import Compiled
from tests.small import small_graph, small_input

MACHINES = Path("targets/spatial/machines")
TARGETS = ("eyeriss", "eyeriss_v2", "bitfusion", "systolic{array=8x8,dataflow=os}", "tpu_v1")


def compiled_for(target: str, **options: Any) -> Compiled:
    return cd.compile(small_graph(), target, calibration={"x": small_input(4)}, **options)


def output(compiled: Compiled, x: np.ndarray) -> np.ndarray:
    """What comes out."""
    return compiled.run({"x": x})["out"]


def meant(compiled: Compiled, x: np.ndarray) -> np.ndarray:
    """What the interpreter makes of the program that an artifact holds."""
    constants = {name: Const(array) for name, array in compiled.weights.items()}
    graph = parse_program(compiled.text, constants).graph
    return evaluate_integer(graph, {"x": x})["out"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_artifact_computes_what_the_interpreter_means(target: str, tmp_path: Path) -> None:
    compiled = compiled_for(target)
    x = small_input(1, seed=3)
    compiled.save(tmp_path / "out")
    opened = cd.open(tmp_path / "out")
    for one in (compiled, opened):
        assert np.array_equal(output(one, x), meant(compiled, x))
    assert opened.modelled
    assert "simulator of" in opened.manifest.linked_with


def test_codes_are_close_to_the_network_in_float() -> None:
    x = small_input(4)[:1]
    plain = output(cd.compile(small_graph(), "cpu", measure="none", passes="place"), x)
    for target, bound in (("eyeriss", 1e-3), ("tpu_v1", 2e-2), ("eyeriss_v2", 4e-2)):
        assert np.abs(output(compiled_for(target), x) - plain).max() < bound * np.abs(plain).max()


def test_the_machine_goes_with_the_artifact(tmp_path: Path) -> None:
    machine = tmp_path / "mine.toml"
    shutil.copyfile(MACHINES / "eyeriss.toml", machine)
    compiled = compiled_for(str(machine))
    compiled.save(tmp_path / "out")
    machine.unlink()
    x = small_input()
    assert np.array_equal(output(cd.open(tmp_path / "out"), x), output(compiled, x))


def test_layers_in_float_are_refused_by_name() -> None:
    with pytest.raises(RefusedError, match=r"in float: %first, %second.*calibration"):
        cd.compile(small_graph(), "eyeriss")
    with pytest.raises(RefusedError, match="in float: %second;"):
        compiled_for("eyeriss", passes="assign-bits{base=uniform,skip=second}")


def test_there_is_no_time_to_take() -> None:
    with pytest.raises(UsageError, match="runs on the simulator of eyeriss"):
        compiled_for("eyeriss").time(1)


@pytest.mark.parametrize("target", ["tpu_v1", "systolic{array=8x8}", "eyeriss"])
def test_any_convolution_runs_on_machines_that_take_no_floats(target: str) -> None:
    b = Builder("net")
    random = np.random.default_rng(0)
    y = b.input("x", (1, 4, 7, 5))
    for shape, groups in (((6, 2, 3, 3), 2), ((12, 1, 1, 3), 6), ((5, 12, 1, 1), 1)):
        w = b.constant(random.standard_normal(shape).astype(np.float32), "w")
        y = b.op(Relu(), b.op(Conv(groups=groups), y, w))
    graph = b.graph(y, output_names=["out"])
    seen = random.standard_normal((4, 4, 7, 5)).astype(np.float32)
    compiled = cd.compile(graph, target, calibration={"x": seen}, measure="none")
    x = seen[1:2]
    assert np.array_equal(output(compiled, x), meant(compiled, x))
    want = evaluate(graph, {"x": x})["out"]
    assert np.abs(output(compiled, x) - want).max() < 0.1 * np.abs(want).max()
