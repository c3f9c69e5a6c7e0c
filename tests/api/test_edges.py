"""Graphs at the edge: no ops, no code, outputs that are inputs, constants or the same value."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import codesign as cd
from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.shape import Flatten


def constant_output() -> Graph:
    b = Builder("constant")
    y = b.op(Relu(), b.input("x", (1, 4)))
    return b.graph(y, b.constant(np.arange(4, dtype=np.float32), "k"), output_names=["y", "k"])


def input_as_output() -> Graph:
    b = Builder("through")
    x = b.input("x", (1, 4))
    return b.graph(b.op(Relu(), x), x, output_names=["y", "same"])


def unused_input() -> Graph:
    b = Builder("unused")
    x, _ = b.input("x", (1, 4)), b.input("z", (2, 2))
    return b.graph(b.op(Relu(), x), output_names=["y"])


def value_twice() -> Graph:
    b = Builder("twice")
    y = b.op(Relu(), b.input("x", (1, 4)))
    return b.graph(y, y, output_names=["a", "b"])


def no_ops() -> Graph:
    b = Builder("nothing")
    return b.graph(b.input("x", (1, 4)), output_names=["y"])


def only_a_view() -> Graph:
    b = Builder("view")
    return b.graph(b.op(Flatten(), b.input("x", (1, 2, 2))), output_names=["y"])


@pytest.mark.parametrize(
    "make", [constant_output, input_as_output, unused_input, value_twice, no_ops, only_a_view]
)
def test_compiled_saved_and_opened(make: Callable[[], Graph], tmp_path: Path) -> None:
    graph = make()
    random = np.random.default_rng(0)
    inputs = {
        name: random.standard_normal(graph.types[name].shape).astype(np.float32)
        for name in graph.inputs
    }
    compiled = cd.open(cd.compile(graph, measure="none").save(tmp_path / "out"))
    want, found = evaluate(graph, inputs), compiled.run(inputs)
    assert list(found) == list(graph.output_names)
    for name, array in want.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape


@pytest.mark.parametrize("isa", ["generic", "x86"])
def test_plainer_instruction_sets_give_the_same(isa: str) -> None:
    from codesign.runtime.host import architecture
    from tests.small import small_graph, small_input

    if isa == "x86" and architecture() != "x86_64":
        pytest.skip("another architecture")
    compiled = cd.compile(small_graph(), target=f"cpu{{isa={isa}}}", measure="none")
    want = evaluate(small_graph(), {"x": small_input()})
    np.testing.assert_allclose(
        compiled.run({"x": small_input()})["out"], want["out"], rtol=1e-4, atol=1e-5
    )
