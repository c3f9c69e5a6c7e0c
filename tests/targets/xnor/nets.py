"""Small binary networks, and how to place them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from codesign import plugins
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.encode import Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Flatten
from codesign.ir.program import Program
from codesign.targets.xnor.fold import divisors
from codesign.targets.xnor.kernel import MatrixUnit, to_point
from codesign.targets.xnor.layer import Fold
from codesign.targets.xnor.whole import layers_of

IMAGE = Int(8, Const(2.0**-5, "float32"))
RESIDUAL = Int(8, Const(0.25, "float32"), Const(3, "int32"))


def form(name: str) -> Grid:
    """b: signs, t: -1, 0, 1, u2: unsigned codes of 2 bits, s8: signed ones of 8."""
    if name == "b":
        return Binary(Const(0.5, "float32"))
    if name == "t":
        return Ternary(Const(0.5, "float32"), Const(0.25, "float32"))
    return Int(int(name[1:]), Const(0.5, "float32"), signed=name[0] == "s")


class Net:
    """A graph in the making."""

    def __init__(self, seed: int = 0) -> None:
        self.b, self.random, self.count = Builder("net"), np.random.default_rng(seed), 0

    def input(self, *shape: int, grid: Grid = IMAGE) -> str:
        return self.encode(self.b.input("x", shape), grid)

    def typed(self, value: str, grid: Grid) -> str:
        self.b.types[value] = self.b.types[value].with_encoding(grid)
        return value

    def encode(self, value: str, grid: Grid) -> str:
        return self.typed(self.b.op(Encode(), value, name=f"{value}.codes"), grid)

    def weight(self, shape: Sequence[int], grid: Grid) -> str:
        low, high = grid.reach
        codes = self.random.integers(low, high + 1, shape)
        if isinstance(grid, Binary):
            codes = np.where(codes == 0, 1, codes)
        scale = np.float32(grid.scale.array)
        return self.b.constant(codes.astype(np.float32) * scale, "w", (grid,))

    def conv(
        self, x: str, rows: int, kernel: tuple[int, int], grid: Grid, op: Conv | None = None
    ) -> str:
        self.count += 1
        w = self.weight((rows, self.b.types[x].shape[1], *kernel), grid)
        return self.b.op(op or Conv(), x, w, name=f"L{self.count}")

    def linear(self, x: str, rows: int, grid: Grid) -> str:
        self.count += 1
        w = self.weight((rows, self.b.types[x].shape[-1]), grid)
        return self.b.op(Linear(), x, w, name=f"L{self.count}")

    def norm(self, x: str, zeros: bool = True) -> str:
        """Scales of both signs, some of them 0."""
        channels = self.b.types[x].shape[1]
        draw = self.random.standard_normal
        scale = draw(channels) * (self.random.integers(0, 5, channels) > 0 if zeros else 1)
        parts = (scale, draw(channels), draw(channels) * 3, self.random.random(channels) + 0.5)
        given = [self.b.constant(v.astype(np.float32), "n") for v in parts]
        return self.b.op(BatchNorm(), x, *given, name=f"{x}.norm")

    def pool(self, x: str, op: MaxPool) -> str:
        made = self.b.op(op, x, name=f"{x}.pool")
        grid = self.b.types[x].grid
        return made if grid is None else self.typed(made, grid)

    def flat(self, x: str) -> str:
        grid = self.b.types[x].grid
        assert grid is not None
        return self.typed(self.b.op(Flatten(), x, name=f"{x}.flat"), grid)

    def add(self, x: str, y: str) -> str:
        return self.typed(self.b.op(Add(), x, y, name="sum"), RESIDUAL)

    def relu(self, x: str) -> str:
        return self.b.op(Relu(), x, name=f"{x}.relu")

    def mean(self, x: str) -> str:
        return self.typed(self.b.op(ReduceMean((2, 3)), x, name="mean"), RESIDUAL)

    def graph(self, *outputs: str) -> Graph:
        return self.b.graph(*outputs)


def residual(seed: int = 0, channels: int = 6, size: int = 7) -> Graph:
    """A stem that forks in floats, a block with a sum in 8 bits, a mean, a last layer of 8 bits."""
    net = Net(seed)
    stem = net.relu(net.norm(net.conv(net.input(2, 3, size, size), channels, (3, 3), form("s8"))))
    skip, bits = net.encode(stem, RESIDUAL), None
    bits = net.typed(net.b.op(Encode(), stem, name="bits"), form("b"))
    pads = Conv(pads=((1, 1), (1, 1)))
    inner = net.encode(net.norm(net.conv(bits, channels, (3, 3), form("b"), pads)), form("b"))
    back = net.encode(net.norm(net.conv(inner, channels, (3, 3), form("b"), pads)), RESIDUAL)
    total = net.add(back, skip)
    after = net.encode(net.norm(net.b.op(Relu(), total, name="total.relu")), form("u2"))
    last = net.encode(net.norm(net.conv(after, 4, (1, 1), form("t"))), RESIDUAL)
    flat = net.typed(net.b.op(Flatten(), net.mean(last), name="flat"), RESIDUAL)
    return net.graph(net.linear(flat, 5, form("s8")))


def place(graph: Graph, pick: Callable[[Sequence[int]], int] | None, spec: str = "finn") -> Program:
    """`graph` placed, with foldings drawn by `pick` from those that divide; None: the target's."""
    target = plugins.make("target", spec)
    placed: Program = target.place(Program(graph))
    if pick is None:
        return placed
    layers = {layer.name: layer for layer in layers_of(placed, target)}
    placement = []
    for a in placed.placement:
        if a.kernel == MatrixUnit.name:
            layer = layers[a.nodes[0]]
            fold = Fold(pick(divisors(layer.rows)), pick(divisors(layer.columns)))
            a = replace(a, point=to_point(fold))
        placement.append(a)
    return replace(placed, placement=tuple(placement))


def exact(placed: Program, spec: str = "finn") -> None:
    """The simulator gives the bits of the interpreter on random inputs."""
    target: Any = plugins.make("target", spec)
    random = np.random.default_rng(1)
    graph = placed.graph
    inputs = {
        v: (random.standard_normal(graph.types[v].shape) * 2).astype(np.float32)
        for v in graph.inputs
    }
    have, _ = target.simulator(placed)(inputs)
    want = evaluate_integer(graph, inputs)
    for name, array in want.items():
        np.testing.assert_array_equal(have[name], array)
