"""The Python calls: load, compile, call, save, open."""

import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codesign as cd
from codesign.compiler import compile_job, prepare
from codesign.data import load_dataset
from codesign.errors import DataError, UnknownNameError, UnsupportedModelError, UsageError
from codesign.interpret.evaluate import evaluate
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.pass_ import Pass
from codesign.runtime.plan import Port, Slot
from tests.small import small_compiled, small_graph, small_input

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def test_compiled_program_gives_what_the_interpreter_gives() -> None:
    x = small_input()
    want = evaluate(small_graph(), {"x": x})["out"]
    compiled = small_compiled()
    by_position, by_name = compiled(x), compiled(x=x)
    assert isinstance(by_position, np.ndarray)
    np.testing.assert_allclose(by_position, want, rtol=CLOSE["rtol"], atol=CLOSE["atol"])
    np.testing.assert_array_equal(by_name, by_position)


def test_result_is_a_copy_that_the_next_call_leaves_alone() -> None:
    first = small_compiled()(small_input(seed=1))
    kept = np.array(first)
    small_compiled()(small_input(seed=2))
    np.testing.assert_array_equal(first, kept)


def test_saved_and_opened_again_it_answers_the_same(tmp_path: Path) -> None:
    compiled = small_compiled()
    opened = cd.open(compiled.save(tmp_path / "out"))
    np.testing.assert_array_equal(opened(small_input()), compiled(small_input()))
    assert opened.report == compiled.report
    assert opened.inputs == compiled.inputs
    assert opened.text == compiled.text
    again = cd.open(opened.save(tmp_path / "again"))
    np.testing.assert_array_equal(again(small_input()), compiled(small_input()))


def test_signature_names_shapes_and_types() -> None:
    (x,), (out,) = small_compiled().inputs, small_compiled().outputs
    assert (x.name, x.shape, x.dtype) == ("x", (1, 3, 8, 8), "float32")
    assert (out.name, out.shape, out.dtype) == ("out", (1, 16, 8, 8), "float32")


def test_inputs_come_as_a_mapping_too_and_repr_tells_the_signature() -> None:
    compiled, x = small_compiled(), small_input()
    np.testing.assert_array_equal(compiled({"x": x}), compiled(x))
    with pytest.raises(DataError, match="inputs are"):
        compiled({"y": x})
    with pytest.raises(DataError, match="a mapping of inputs stands alone"):
        compiled({"x": x}, x)
    assert repr(compiled).startswith("<Compiled small for cpu{")
    assert "(x: float32[1, 3, 8, 8]) -> (out: float32[1, 16, 8, 8])" in repr(compiled)


def test_the_package_shows_its_public_names_and_version() -> None:
    assert set(dir(cd)) - {name for name in dir(cd) if name.startswith("__")} == set(cd.__all__)
    assert cd.__version__ == metadata.version("codesign")


@pytest.mark.parametrize(
    ("arrays", "named", "message"),
    [
        ((), {}, "inputs are"),
        ((np.zeros((1, 3, 8, 9), np.float32),), {}, "shape"),
        ((np.zeros((1, 3, 8, 8), np.complex64),), {}, "complex64"),
        ((), {"y": np.zeros((1, 3, 8, 8), np.float32)}, "expected"),
        ((small_input(), small_input()), {}, "given 2 arrays"),
        ((small_input(),), {"x": small_input()}, "by position and by name"),
    ],
)
def test_wrong_inputs_are_refused(
    arrays: tuple[np.ndarray, ...], named: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        small_compiled()(*arrays, **named)


def test_calibration_may_be_one_array_where_there_is_one_input() -> None:
    def scored(data: Any) -> list[float]:
        compiled = cd.compile(small_graph(), calibration=data, passes=[], measure="none")
        return [row["snr_db"] for row in compiled.report["ledger"]]

    x = small_input(3)
    assert scored(x) == scored({"x": x}) and min(scored(x)) > 100
    with pytest.raises(DataError, match=r"calibration is a list; expected an \.npz file or arrays"):
        scored([1, 2])
    with pytest.raises(DataError, match="calibration is one array, the model's inputs are a, b"):
        load_dataset(x, [Port(n, (1,), "float32", Slot(0, (1,), "")) for n in "ab"], "calibration")


def test_unknown_pass_option_and_target_are_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean fold-constants"):
        cd.compile(small_graph(), passes=["fold-constant"])
    with pytest.raises(UnknownNameError, match="max_elements"):
        cd.compile(small_graph(), passes=["fold-constants{max_element=3}"])
    with pytest.raises(UnknownNameError, match="did you mean cpu"):
        cd.compile(small_graph(), target="cpus")
    with pytest.raises(UsageError, match="threads of target cpu is 'many'"):
        cd.compile(small_graph(), target="cpu{threads=many}")


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="int is no model"):
        cd.load(3)
    with pytest.raises(UsageError, match="no model file"):
        cd.load("missing.onnx")
    with pytest.raises(UsageError, match="cannot find nothing"):
        cd.load("tests.small:nothing")
    with pytest.raises(UsageError, match=r"expected an \.onnx file"):
        cd.load("README.md")


def test_a_pass_object_of_ones_own_runs_between_simplification_and_scheduling() -> None:
    seen: list[int] = []

    class Look(Pass):
        name = "look"

        def run(self, program: Program, context: Context) -> Program:
            seen.append(len(program.graph.nodes))
            context.note("first", "looked at")
            return program

    compiled = cd.compile(small_graph(), passes=[Look()], measure="none")
    steps = [row["step"] for row in compiled.report["ledger"]]
    assert seen == [5]
    assert steps[0] == "input" and steps[-3:] == ["look", "place", "layout"]
    notes = [note for layer in compiled.report["layers"] for note in layer["notes"]]
    assert {"pass": "look", "text": "looked at", "done": True} in notes


def test_estimate_answers_without_building() -> None:
    estimate = cd.estimate(small_graph())
    report = small_compiled().report
    assert [layer.name for layer in estimate.layers] == [x["name"] for x in report["layers"]]
    assert estimate.macs == report["total"]["macs"] == 8 * 8 * 9 * 16 * (3 + 16)


def test_a_model_the_target_cannot_run_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from codesign.targets.tvm.target import Cpu

    target = Cpu()
    kernels = [k for k in target.kernels if "conv" not in k.anchors]
    monkeypatch.setitem(target.__dict__, "kernels", kernels)
    with pytest.raises(UnsupportedModelError, match="cannot run conv %first"):
        cd.compile(small_graph(), target=target, measure="none")


def test_import_is_light_and_public_names_are_there() -> None:
    code = (
        "import sys, codesign as cd\n"
        "assert not {'torch', 'tvm', 'onnx', 'numpy'} & set(sys.modules), sys.modules.keys()\n"
        "assert set(cd.__all__) <= set(dir(cd)), dir(cd)\n"
        "assert callable(cd.compile) and callable(cd.load) and callable(cd.open)\n"
        "import codesign.compiler\n"
        "assert cd.compile is codesign.compiler.compile_model\n"
        "try:\n    cd.nothing\nexcept AttributeError as e:\n    assert 'nothing' in str(e)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_opening_needs_neither_torch_nor_onnx_nor_tvm(tmp_path: Path) -> None:
    folder = small_compiled().save(tmp_path / "out")
    code = (
        "import sys, numpy as np, codesign as cd\n"
        f"y = cd.open({str(folder)!r})(np.ones((1, 3, 8, 8), np.float32))\n"
        "assert y.shape == (1, 16, 8, 8) and np.isfinite(y).all()\n"
        "heavy = {'torch', 'onnx', 'tvm', 'networkx', 'scipy', 'yaml', 'rich', 'typer'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_seconds_of_a_compile_include_reading_the_model() -> None:
    job = prepare(small_graph(), "cpu", passes=[])
    assert job.seconds > 0
    slow = replace(job, seconds=1000.0)
    assert compile_job(slow, measure="none").report["seconds"] > 1000
