""".pt2 files: what is read, and what is refused before it is read."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from codesign.errors import CodesignError, InvalidModelError, UnsupportedModelError, UsageError
from codesign.frontends.torch import import_torch
from codesign.interpret.evaluate import evaluate


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    torch.export.save(torch.export.export(module, (torch.randn(1, 3, 8, 8),)), path)
    return path


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """A copy of the archive with members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_a_saved_program_is_imported(saved: Path) -> None:
    graph = import_torch(saved)
    assert graph.name == "net" and "0.weight" in graph.constants
    x = torch.randn(1, 3, 8, 8)
    expected = torch.export.load(str(saved)).module()(x).detach().numpy()
    (found,) = evaluate(graph, {graph.inputs[0]: x.numpy()}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", [0, 1, 100, 0.5, 0.99])
def test_truncated_files_are_refused(saved: Path, tmp_path: Path, part: float) -> None:
    content = saved.read_bytes()
    size = int(part * len(content)) if part < 1 else int(part)
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(content[:size])
    with pytest.raises(InvalidModelError, match="truncated"):
        import_torch(broken)


def test_flipped_bytes_are_found(saved: Path, tmp_path: Path) -> None:
    content = bytearray(saved.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(content), 25):
        changed = bytearray(content)
        changed[position] ^= 0x55
        broken = tmp_path / "flipped.pt2"
        broken.write_bytes(changed)
        try:
            import_torch(broken)
        except CodesignError as error:
            refused += str(broken) in str(error)
    assert refused >= 15  # padding between members may change without harm


def test_other_files_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no file"):
        import_torch(tmp_path / "absent.pt2")
    text = tmp_path / "text.pt2"
    text.write_text("hello")
    with pytest.raises(InvalidModelError, match=r"is not a \.pt2 file"):
        import_torch(text)
    checkpoint = tmp_path / "checkpoint.pt2"
    torch.save(nn.Linear(2, 2).state_dict(), checkpoint)
    with pytest.raises(InvalidModelError, match="or a checkpoint"):
        import_torch(checkpoint)


def test_a_program_with_other_content_is_refused(saved: Path, tmp_path: Path) -> None:
    def empty(name: str, content: bytes) -> bytes:
        return b"{}" if name.endswith("models/model.json") else content

    with pytest.raises(InvalidModelError, match=r"cannot be read as a \.pt2 program"):
        import_torch(rewritten(saved, tmp_path / "empty.pt2", empty))


class Payload:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.witness)!r}, 'w').close()",)


def test_files_that_would_run_code_are_refused(saved: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    def inputs(name: str, content: bytes) -> bytes:
        return pickle.dumps(Payload(witness)) if name.endswith("model.pt") else content

    def constants(name: str, content: bytes) -> bytes:
        if not name.endswith("constants_config.json"):
            return content
        return json.dumps({"config": {"a": {"path_name": "opaque_obj_0"}}}).encode()

    def expression(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        text = f"open({str(witness)!r}, 'w').close()"
        program = json.loads(content)
        values = program["graph_module"]["graph"]["tensor_values"]
        sizes = next(v["sizes"] for v in values.values() if v["sizes"])
        sizes[0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 1}}}
        return json.dumps(program).encode()

    for change in (inputs, constants, expression):
        path = rewritten(saved, tmp_path / f"{change.__name__}.pt2", change)
        with pytest.raises(UnsupportedModelError, match="carries code that would be run"):
            import_torch(path)
        assert not witness.exists()


def test_symbolic_shapes_are_plain_arithmetic(tmp_path: Path) -> None:
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(
        nn.Sequential(nn.Conv1d(2, 3, 3, 2), nn.Flatten(0)),
        (torch.randn(4, 2, 9),),
        dynamic_shapes=({0: batch},),
    )
    path = tmp_path / "dynamic.pt2"
    torch.export.save(program, path)
    graph = import_torch(path, shapes={"input": (6, 2, 9)})
    assert graph.types[graph.outputs[0]].shape == (6 * 3 * 4,)
