"""A slice of the operator cases that the onnx package carries; all run in the benchmark."""

from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, numpy_helper

from benchmarks.onnx_cases import Case, Outcome, run_case
from benchmarks.onnx_operators import brief, document

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
EVERY = 3


def stored(folder: Path) -> Case:
    """A case from its files."""
    model = onnx.load(folder / "model.onnx")
    data = []
    for inputs in sorted(folder.glob("test_data_set_*")):
        kinds = ("input", "output")
        data.append(tuple([_tensor(path) for path in _sorted(inputs, kind)] for kind in kinds))
    return Case(folder.name, model, data, 1e-3, 1e-6)  # type: ignore[arg-type]


def _sorted(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"{kind}_*.pb"), key=lambda path: int(path.stem.split("_")[1]))


def _tensor(path: Path) -> object:
    tensor = TensorProto()
    try:
        tensor.ParseFromString(path.read_bytes())
        return numpy_helper.to_array(tensor)
    except (TypeError, ValueError, onnx.onnx_cpp2py_export.checker.ValidationError):
        return None


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """What became of the slice."""
    folders = sorted(path for path in FOLDER.iterdir() if path.is_dir())
    return [run_case(stored(folder)) for folder in folders[::EVERY]]


def test_no_case_is_wrong_or_crashes(outcomes: list[Outcome]) -> None:
    assert [(o.case, o.reason) for o in outcomes if o.result in ("wrong", "crash")] == []


def test_three_of_four_cases_pass(outcomes: list[Outcome]) -> None:
    assert sum(outcome.passed for outcome in outcomes) >= 0.75 * len(outcomes)


def test_a_refusal_names_what_it_refuses(outcomes: list[Outcome]) -> None:
    refused = [o for o in outcomes if o.result == "refused"]
    named = ("(operator ", "element type", "sequence type", "optional type", "operator set")
    assert refused and all(any(part in o.reason for part in named) for o in refused)


def test_the_document_counts_every_case(outcomes: list[Outcome]) -> None:
    text = document(outcomes, Counter(outcome.result for outcome in outcomes))
    assert f"| all | {len(outcomes)} |" in text
    for outcome in outcomes:
        assert f"| {outcome.operator} | " in text


def test_reasons_are_cut_to_what_matters() -> None:
    reason = "X node 'y' (operator X, domain 'ai.onnx') is not supported: no rule; inputs ['a']"
    assert brief(reason) == "no rule"
