"""The pass that CONTRIBUTING.md shows does what its docstring says."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Relu
from codesign.ir.program import Program
from codesign.rewrite.context import Context

GUIDE = Path(__file__).parent.parent / "CONTRIBUTING.md"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[ModuleType]:
    """The example as a module of its own."""
    path = tmp_path / "guide_example.py"
    path.write_text(EXAMPLE.findall(GUIDE.read_text())[0])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


def body(program: Program) -> list[str]:
    return [line.strip() for line in str(program).splitlines()[1:-1]]


def test_the_example_turns_before_into_after(example: ModuleType) -> None:
    b = Builder("chain")
    x = b.input("x", (2, 3))
    y = b.op(Relu(), b.op(Relu(), x, name="a"), name="b")
    program = Program(b.graph(y, output_names=["out"]))
    documented = example.DropSecondRelu.__doc__
    before, after = documented.partition("Before:")[2].split("After:")
    assert body(program) == [line.strip() for line in before.strip().splitlines()]
    context = Context()
    rewritten = example.DropSecondRelu().run(program, context)
    assert body(rewritten) == [line.strip() for line in after.strip().splitlines()]
    assert [note.layer for note in context.notes] == ["b"]


def test_layers_named_in_the_guide_are_those_that_are_checked() -> None:
    guide = GUIDE.read_text()
    config = (GUIDE.parent / "pyproject.toml").read_text()
    layers = config.partition("layers = [")[2].partition("]")[0]
    shown = guide.partition("cli > ")[2].partition("```")[0]
    names = re.findall(r"[a-z]+", "cli " + shown)
    assert names == re.findall(r"codesign\.(\w+)", layers)
