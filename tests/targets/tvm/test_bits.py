"""Layers on packed bits against the integer meaning, bit for bit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import UnsupportedModelError
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Binary, Int, Ternary
from codesign.ir.encodings.grid import Grid
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.encode import Decode, Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.program import Program
from codesign.mapping.kernel import Kernel
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm import int8_oracle as oracle
from tests.targets.tvm.harness import run

ACTIVATIONS = [
    Binary(),
    Int(1, signed=False),
    Int(2, Const(0.5, "float32"), signed=False),
    Int(2, Const(0.5, "float32"), Const(1, "int32"), signed=False),
    Int(3, Const(0.25, "float32"), Const(3, "int32"), signed=False),
]
TWO = {"bits": 1, "bits-threshold": 1, "pack-bits": 1, "repack": 0}
WEIGHTS = ["binary", "ternary", "int2", "int3"]


class Bitwise(Cpu):
    """A CPU without kernels for bytes, so that even the smallest layers run on bits."""

    @property
    def kernels(self) -> list[Kernel]:
        return [k for k in Cpu(isa=self.isa).kernels if not k.name.endswith("-int8")]


class Net(Builder):
    """Layers of few bits on random data."""

    def __init__(self, seed: int) -> None:
        super().__init__("net")
        self.random = np.random.default_rng(seed)

    def coded(self, value: str, form: Grid, name: str) -> str:
        bits = self.op(Encode(), value, name=name)
        self.types[bits] = self.types[bits].with_encoding(form)
        return bits

    def weight(self, kind: str, shape: tuple[int, ...]) -> str:
        scale = Const(self.random.uniform(0.1, 2, shape[0]).astype(np.float32))
        if kind == "binary":
            codes = self.random.integers(0, 2, shape)
            form: Grid = Binary(scale, 0)
        elif kind == "ternary":
            codes = self.random.integers(-1, 2, shape)
            form = Ternary(scale, Const(scale.array / 2), 0)
        else:
            width = int(kind[-1])
            codes = self.random.integers(-(1 << (width - 1)), 1 << (width - 1), shape)
            form = Int(width, scale, Const(np.zeros(shape[0], np.int32)), axis=0)
        return self.constant(form.decode({"values": codes}, shape), "w", (form,))

    def norm(self, value: str) -> str:
        """A batch norm with scales of both signs and zero, and means that sums may equal."""
        r, channels = self.random, self.types[value].shape[1]
        vectors = (
            r.choice([-1.5, -0.3, 0.0, 0.4, 1.0], channels),
            r.choice([0.0, 0.0, 0.25, -3.0], channels),
            r.integers(-4, 5, channels),
            r.uniform(0.5, 4, channels),
        )
        return self.op(BatchNorm(), value, *(self.constant(v.astype(np.float32)) for v in vectors))

    def check(
        self, shape: tuple[int, ...], output: str, isa: str, kernels: Mapping[str, int]
    ) -> None:
        graph = self.graph(output, output_names=["out"])
        target = Bitwise(isa=isa)
        program = target.place(Program(graph))
        target.verify(program)
        used = [assignment.kernel for assignment in program.placement]
        assert {kernel: used.count(kernel) for kernel in kernels} == dict(kernels), used
        data = {"x": self.random.standard_normal(shape).astype(np.float32)}
        got, want = run(program, target, data)["out"], evaluate_integer(graph, data)["out"]
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-5)


def conv(shape: ConvShape) -> Conv:
    return Conv(shape.strides, shape.pads, shape.dilations)


def machine(seed: int) -> str:
    return oracle.runnable()[seed % len(oracle.runnable())]


@settings(deadline=None, max_examples=10)
@given(
    oracle.convolutions(most_ic=150),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(WEIGHTS),
    st.integers(0, 999),
)
def test_any_convolution_gives_its_sums(shape: ConvShape, x: Grid, weight: str, seed: int) -> None:
    net = Net(seed)
    given = net.input("x", (shape.n, shape.ic, *shape.spatial))
    bits = net.coded(given, x, "bits")
    y = net.op(conv(shape), bits, net.weight(weight, shape.weight), name="y")
    net.check(net.types[given].shape, y, machine(seed), {"bits": 1, "pack-bits": 1})


@settings(deadline=None, max_examples=10)
@given(
    oracle.convolutions(most_ic=80, most_oc=140),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(WEIGHTS),
    st.sampled_from(ACTIVATIONS),
    st.integers(0, 999),
)
def test_thresholds_give_packed_codes_to_the_next_layer(
    shape: ConvShape, x: Grid, weight: str, between: Grid, seed: int
) -> None:
    net = Net(seed)
    given = net.input("x", (shape.n, shape.ic, *shape.spatial))
    bits = net.coded(given, x, "bits")
    y = net.op(conv(shape), bits, net.weight(weight, shape.weight), name="first")
    y = net.norm(y)
    if seed % 2:
        y = net.op(Relu(), y)
    again = net.coded(y, between, "again")
    ones = (1,) * len(shape.spatial)
    z = net.op(
        Conv(ones, ((0, 0),) * len(ones), ones), again, net.weight("binary", (5, shape.oc, *ones))
    )
    net.check(net.types[given].shape, z, machine(seed), TWO)


@settings(deadline=None, max_examples=8)
@given(
    st.integers(1, 20),
    st.integers(1, 300),
    st.integers(1, 200),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(WEIGHTS),
    st.integers(0, 999),
)
def test_matrix_products(
    rows: int, depth: int, width: int, x: Grid, weight: str, seed: int
) -> None:
    net = Net(seed)
    bits = net.coded(net.input("x", (rows, depth)), x, "bits")
    y = net.op(Linear(), bits, net.weight(weight, (width, depth)), name="first")
    y = net.coded(net.norm(y), Binary(), "again")
    y = net.op(Linear(), y, net.weight("binary", (3, width)), name="second")
    net.check((rows, depth), y, machine(seed), TWO)


@pytest.mark.parametrize("isa", oracle.runnable())
def test_a_residual_in_floats(isa: str) -> None:
    net = Net(3)
    x = net.input("x", (1, 70, 6, 7))
    w = net.weight("binary", (70, 70, 3, 3))
    pads = ((1, 1), (1, 1))
    y = net.op(Conv(pads=pads), net.coded(x, Binary(), "bits"), w, name="y")
    net.check((1, 70, 6, 7), net.op(Relu(), net.op(Add(), y, x)), isa, {"bits": 1})


@pytest.mark.parametrize("isa", oracle.runnable())
def test_packed_codes_that_are_read_as_numbers_are_unpacked(isa: str) -> None:
    net = Net(4)
    x = net.input("x", (2, 20, 5, 5))
    bits = net.coded(x, Binary(), "bits")
    y = net.op(Conv(), bits, net.weight("binary", (9, 20, 1, 1)), name="y")
    codes = net.coded(net.norm(y), Binary(), "codes")
    net.check((2, 20, 5, 5), net.op(Decode(), codes), isa, {"bits-threshold": 1, "repack": 1})


@settings(deadline=None, max_examples=8)
@given(
    st.sampled_from([((6, 5), (3, 2), (2, 1), ((1, 1), (0, 1))), ((9,), (3,), (3,), ((0, 0),))]),
    st.integers(1, 80),
    st.sampled_from(ACTIVATIONS),
    st.integers(0, 99),
)
def test_maxima_of_packed_codes(window: Any, channels: int, x: Grid, seed: int) -> None:
    spatial, kernel, strides, pads = window
    net, ones = Net(seed), (1,) * len(spatial)
    given = net.input("x", (2, channels, *spatial))
    bits = net.op(MaxPool(kernel, strides, pads, ones), net.coded(given, x, "bits"), name="most")
    net.types[bits] = net.types[bits].with_encoding(x)
    weight = net.weight("binary", (3, channels, *ones))
    last = net.op(Conv(ones, ((0, 0),) * len(ones), ones), bits, weight)
    kernels = {"bits": 1, "max-pool-bits": 1, "repack": 0}
    net.check((2, channels, *spatial), last, machine(seed), kernels)


def test_maps_without_pixels_give_nothing_or_are_refused() -> None:
    net = Net(5)
    bits = net.coded(net.input("x", (0, 4, 3, 3)), Binary(), "bits")
    y = net.op(Conv(pads=((1, 1), (1, 1))), bits, net.weight("binary", (5, 4, 3, 3)), name="y")
    net.check((0, 4, 3, 3), y, oracle.runnable()[0], {"nothing": 2})
    net = Net(5)
    bits = net.coded(net.input("x", (1, 4, 0, 3)), Binary(), "bits")
    y = net.op(Conv(pads=((2, 2), (1, 1))), bits, net.weight("binary", (5, 4, 3, 3)), name="y")
    with pytest.raises(UnsupportedModelError, match="bits: it has pixels and channels"):
        net.check((1, 4, 0, 3), y, oracle.runnable()[0], {})
