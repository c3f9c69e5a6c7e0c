"""Random small networks: convolutions, norms, activations, residuals, joins, a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, HardSwish, Relu, Sigmoid
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Div, Mul
from codesign.ir.ops.join import Concat, Pad
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Flatten, Reshape, Transpose


@dataclass
class Drawing:
    """A network in the making; `value` is what the next layer reads, `older` what it may add."""

    draw: st.DrawFn
    builder: Builder
    random: np.random.Generator
    value: str
    older: list[str]

    def weight(self, *shape: int) -> str:
        """A constant whose products keep the scale of their input."""
        spread = float(np.prod(shape[1:])) ** -0.5 if len(shape) > 1 else 0.3
        array = self.random.standard_normal(shape) * spread
        return self.builder.constant(array.astype(np.float32), "w")

    def vector(self, low: float, high: float, *shape: int) -> str:
        """A constant of numbers between `low` and `high`."""
        return self.builder.constant(self.random.uniform(low, high, shape).astype(np.float32), "v")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the current value."""
        return self.builder.types[self.value].shape


def _conv(d: Drawing) -> str:
    c, size = d.shape[1], min(d.shape[2:])
    k = d.draw(st.sampled_from([1, 3])) if size > 2 else 1
    stride = d.draw(st.sampled_from([1, 1, 2])) if size > 3 else 1
    groups = c if d.draw(st.integers(0, 3)) == 0 else 1
    oc = c if groups > 1 else d.draw(st.sampled_from([c, c, 4, 8, 12]))
    x = d.value
    pad = k // 2
    if k == 3 and d.draw(st.booleans()):
        x, pad = d.builder.op(Pad(((0, 0), (0, 0), (1, 1), (1, 1))), x), 0
    op = Conv((stride,) * 2, ((pad, pad),) * 2, (1, 1), groups)
    bias = [d.weight(oc)] if d.draw(st.booleans()) else []
    return d.builder.op(op, x, d.weight(oc, c // groups, k, k), *bias)


def _norm(d: Drawing) -> str:
    c = d.shape[1]
    scale, bias = d.vector(0.5, 1.5, c), d.vector(-1, 1, c)
    return d.builder.op(
        BatchNorm(), d.value, scale, bias, d.vector(-1, 1, c), d.vector(0.5, 2.0, c)
    )


def _activation(d: Drawing) -> str:
    op = d.draw(st.sampled_from([Relu(), Clip(0.0, 6.0), HardSwish(), Clip(-1.0, 1.0)]))
    return d.builder.op(op, d.value)


def _scaled(d: Drawing) -> str:
    shape = d.draw(st.sampled_from([(), (1, d.shape[1], 1, 1)]))
    op = d.draw(st.sampled_from([Mul(), Add(), Div()]))
    return d.builder.op(op, d.value, d.vector(0.5, 1.5, *shape))


def _gate(d: Drawing) -> str:
    return d.builder.op(Mul(), d.value, d.builder.op(Sigmoid(), d.value))


def _mates(d: Drawing, fits: Callable[[tuple[int, ...]], bool]) -> list[str]:
    return [v for v in d.older if fits(d.builder.types[v].shape)]


def _residual(d: Drawing) -> str:
    return d.builder.op(Add(), d.value, d.draw(st.sampled_from(_mates(d, lambda s: s == d.shape))))


def _join(d: Drawing) -> str:
    mates = _mates(d, lambda s: (s[0], *s[2:]) == (d.shape[0], *d.shape[2:]))
    return d.builder.op(Concat(1), d.value, d.draw(st.sampled_from(mates)))


def _pool(d: Drawing) -> str:
    if min(d.shape[2:]) < 2:
        return d.builder.op(Relu(), d.value)
    op = d.draw(st.sampled_from([MaxPool, AvgPool]))
    return d.builder.op(op((2, 2), (2, 2), ((0, 0),) * 2), d.value)


def _shuffle(d: Drawing) -> str:
    n, c, h, w = d.shape
    flat = d.builder.op(Reshape((n, c, h * w)), d.value)
    twice = d.builder.op(Transpose((0, 2, 1)), d.builder.op(Transpose((0, 2, 1)), flat))
    return d.builder.op(Reshape((n, c, h, w)), twice)


STEPS: list[Callable[[Drawing], str]] = [
    _conv, _conv, _conv, _norm, _activation, _activation, _scaled, _gate, _residual, _join, _pool,
    _shuffle,
]  # fmt: skip


def _classifier(d: Drawing) -> str:
    b = d.builder
    if d.draw(st.booleans()):
        flat = b.op(Flatten(1), b.op(ReduceMean((2, 3), True), d.value))
    else:
        flat = b.op(Flatten(1), d.value)
    depth = b.types[flat].shape[1]
    if d.draw(st.booleans()):
        return b.op(Linear(), flat, d.weight(5, depth), d.weight(5))
    return b.op(Add(), b.op(MatMul(), flat, d.weight(depth, 5)), d.weight(5))


@st.composite
def networks(draw: st.DrawFn, steps: int = 7) -> Graph:
    """A network of float32 `x` [1 or 2, 3 or 4, 5 to 8, 5 to 8] with one or two outputs."""
    b = Builder("net")
    size = draw(st.integers(5, 8)), draw(st.integers(5, 8))
    x = b.input("x", (draw(st.integers(1, 2)), draw(st.integers(3, 4)), *size))
    d = Drawing(draw, b, np.random.default_rng(draw(st.integers(0, 999))), x, [x])
    for _ in range(draw(st.integers(1, steps))):
        d.value = draw(st.sampled_from(STEPS))(d)
        d.older.append(d.value)
    outputs = [_classifier(d) if draw(st.booleans()) else d.value]
    if draw(st.integers(0, 3)) == 0:
        outputs.append(draw(st.sampled_from(d.older[1:])))
    names = [f"out{i}" for i in range(len(outputs))]
    return b.graph(*outputs, output_names=names)


def inputs_of(graph: Graph, seed: int = 0, samples: int | None = None) -> dict[str, np.ndarray]:
    """Normally distributed inputs; `samples` in place of the first extent if given."""
    random = np.random.default_rng(seed)
    shapes = {v: graph.types[v].shape for v in graph.inputs}
    return {
        v: random.standard_normal((samples or s[0], *s[1:])).astype(np.float32)
        for v, s in shapes.items()
    }
