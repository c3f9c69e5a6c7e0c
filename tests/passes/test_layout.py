import numpy as np
import pytest

from codesign.errors import UsageError
from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.join import Concat
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.shape import Flatten
from codesign.ir.program import Program
from codesign.passes.place.layout import Layout
from codesign.passes.place.place import Place
from codesign.rewrite.context import Context
from codesign.rewrite.pipeline import run_pass
from codesign.targets.tvm.target import Cpu
from tests.strategies import inputs_of

TARGET = Cpu("avx512")


def network() -> Graph:
    """Two branches, joined, pooled and flattened."""
    b, random = Builder(), np.random.default_rng(0)

    def conv(x: str, oc: int) -> str:
        w = random.standard_normal((oc, b.types[x].shape[1], 3, 3)).astype(np.float32)
        return b.op(Conv(pads=((1, 1),) * 2), x, b.constant(w, "w"), name="conv")

    x = conv(b.input("x", (1, 32, 8, 8)), 32)
    y = b.op(Add(), conv(x, 32), b.op(Clip(0.0, 6.0), x))
    z = b.op(Concat(1), y, x, name="joined")
    pooled = b.op(MaxPool((2, 2), (2, 2), ((0, 0),) * 2), conv(z, 48), name="pooled")
    return b.graph(b.op(Flatten(1), b.op(Relu(), pooled)), output_names=["out"])


def laid_out(graph: Graph) -> Program:
    context = Context(target=TARGET)
    return run_pass(run_pass(Program(graph), Place(), context), Layout(), context)


def test_blocked_from_the_first_convolution_to_the_last_pool() -> None:
    graph = network()
    program = laid_out(graph)
    TARGET.verify(program)
    converted = [node.operands[0] for node in program.graph.walk("relayout")]
    assert len(converted) == 2 and converted[0] == "x"
    layouts = {v: kind.layout for v, kind in program.graph.types.items() if kind.rank == 4}
    plain = {v for v, layout in layouts.items() if layout is None and v.startswith(("c", "j", "p"))}
    assert layouts["joined"] == Tiled(1, 16) and not plain
    data = inputs_of(graph)
    np.testing.assert_array_equal(
        evaluate(program.graph, data)["out"], evaluate(graph, data)["out"]
    )


def test_again_gives_the_same() -> None:
    program = laid_out(network())
    again = laid_out(program.graph)
    assert set(again.placement) == set(program.placement)
    assert set(again.graph.nodes) == set(program.graph.nodes)


def test_places_what_is_not_placed() -> None:
    context = Context(target=TARGET)
    assert run_pass(Program(network()), Layout(), context) == laid_out(network())


def test_a_second_run_changes_nothing() -> None:
    program = laid_out(network())
    assert run_pass(program, Layout(), Context(target=TARGET)) == program


def test_needs_a_target() -> None:
    with pytest.raises(UsageError, match="--target"):
        run_pass(Program(network()), Layout(), Context())
