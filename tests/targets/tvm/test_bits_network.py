"""Binarized networks, compiled, are the integer meaning bit for bit."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from codesign import plugins
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Flatten
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import calibrated
from tests.strategies import inputs_of
from tests.targets.tvm.harness import run
from tests.targets.tvm.int8_oracle import runnable


class Maker(Builder):
    """Convolutions with batch norms of scales of both signs, one of them zero."""

    def __init__(self) -> None:
        super().__init__("net")
        self.random = np.random.default_rng(0)

    def normal(self, *shape: int) -> str:
        return self.constant(self.random.standard_normal(shape).astype(np.float32))

    def unit(self, x: str, channels: int, kernel: int = 3, stride: int = 1) -> str:
        r, pad = self.random, kernel // 2
        weight = self.normal(channels, self.types[x].shape[1], kernel, kernel)
        y = self.op(Conv((stride,) * 2, ((pad, pad),) * 2), x, weight)
        scale = r.choice([-1.0, 0.7, 1.3], channels)
        scale[0] = 0
        vectors = (
            scale,
            r.normal(0, 0.5, channels),
            r.normal(0, 1, channels),
            r.uniform(1, 9, channels),
        )
        return self.op(BatchNorm(), y, *(self.constant(v.astype(np.float32)) for v in vectors))


@cache
def residual() -> Graph:
    """A stem, two residual units around signs or codes 0 and 1, a pool, and a classifier."""
    b = Maker()
    x = b.op(Relu(), b.unit(b.input("x", (1, 3, 16, 16)), 20))
    y = b.unit(b.op(Relu(), b.unit(x, 20)), 20)
    x = b.op(Relu(), b.op(Add(), y, x))
    side = b.unit(x, 40, 1, 2)
    y = b.unit(b.op(Relu(), b.unit(x, 40, 3, 2)), 40)
    x = b.op(Relu(), b.op(Add(), y, side))
    return classified(b, x)


def classified(b: Maker, x: str) -> Graph:
    """What `b` has made, averaged and classified."""
    flat = b.op(Flatten(1), b.op(ReduceMean((2, 3), True), x))
    weight = b.normal(10, b.types[flat].shape[1])
    return b.graph(b.op(Linear(), flat, weight), output_names=["classes"])


@cache
def plain() -> Graph:
    """Convolutions, batch norms and pools without relu: signs all the way, then a linear layer."""
    b = Maker()
    x = b.unit(b.input("x", (1, 3, 12, 12)), 24)
    x = b.op(MaxPool((2, 2), (2, 2), ((0, 0),) * 2), b.unit(x, 70))
    x = b.op(MaxPool((3, 3), (2, 2), ((1, 1),) * 2), b.unit(x, 24))
    flat = b.op(Flatten(1), x)
    hidden = b.op(Linear(), flat, b.normal(33, b.types[flat].shape[1]))
    return b.graph(b.op(Linear(), hidden, b.normal(10, 33)), output_names=["classes"])


PASSES = {
    "binary": ["binarize"],
    "two": ["binarize{activations=2}"],
    "ternary": ["binarize{weights=ternary}"],
    "weights": ["binarize{method=binary-connect}"],
    "three": ["binarize{weights=2,activations=3}"],
}


def compiled(graph: Graph, passes: list[str], target: Cpu) -> Program:
    """`graph` after `passes`, folding, and 8 bits for what they leave, placed."""
    context, program = calibrated(graph), Program(graph)
    context = Context(target, context.calibration)
    steps = [
        *passes,
        "fold-batch-norm",
        "quantize-int8{slower=true}",
        "dead-code",
        "place",
        "layout",
    ]
    for step in steps:
        program = plugins.make("pass", step).run(program, context)
    target.verify(program)
    return program


CASES = [
    (residual, "binary", "avx2"),
    (residual, "three", ""),
    (residual, "weights", ""),
    (plain, "binary", ""),
    (plain, "two", "avx2"),
    (plain, "ternary", ""),
]


@pytest.mark.parametrize(("make", "passes", "isa"), CASES)
def test_a_network_is_its_integer_meaning(make: Callable[[], Graph], passes: str, isa: str) -> None:
    isa = isa if isa in runnable() else "host"
    graph, target = make(), Cpu(isa=isa)
    program = compiled(graph, PASSES[passes], target)
    data = inputs_of(graph, 3)
    got, want = run(program, target, data), evaluate_integer(program.graph, data)
    np.testing.assert_allclose(got["classes"], want["classes"], rtol=1e-5, atol=1e-5)


def test_blocks_of_a_residual_network_stay_packed_and_in_bytes() -> None:
    b = Maker()
    x = b.op(Relu(), b.unit(b.input("x", (1, 3, 28, 28)), 64))
    for _ in range(2):
        x = b.op(Relu(), b.op(Add(), b.unit(b.op(Relu(), b.unit(x, 64)), 64), x))
    program = compiled(classified(b, x), PASSES["binary"], Cpu())
    used = [assignment.kernel for assignment in program.placement]
    counts = {kernel: used.count(kernel) for kernel in ("bits", "bits-threshold", "repack")}
    assert counts == {"bits": 2, "bits-threshold": 2, "repack": 0}


def test_signs_behind_a_layer_in_8_bits_are_pooled_as_signs() -> None:
    b = Maker()
    x = b.op(Relu(), b.unit(b.input("x", (1, 3, 12, 12)), 24))
    x = b.unit(b.op(MaxPool((2, 2), (2, 2), ((0, 0),) * 2), x), 24)
    program = compiled(classified(b, x), PASSES["binary"], Cpu())
    kinds = [node.kind for node in program.graph.nodes]
    assert kinds.index("encode") < kinds.index("max_pool") and "decode" not in kinds
