"""Small float graphs that a target is tried on, at any batch and number of output channels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.join import Concat
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.recurrent import Gru
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Flatten
from codesign.ir.ops.softmax import Softmax
from codesign.ir.program import Program

ONE = ((1, 1), (1, 1))


@dataclass
class Sketch:
    """A graph in the making: `batch` samples, `times` as many output channels as usual."""

    batch: int
    times: int
    builder: Builder

    def input(self, *shape: int, name: str = "x") -> str:
        """An input [batch, *shape]."""
        return self.builder.input(name, (self.batch, *shape))

    def constant(self, *shape: int) -> str:
        """A float32 constant whose products with values of variance 1 have variance 1."""
        random = np.random.default_rng(len(self.builder.constants))
        spread = float(np.prod(shape[1:])) ** -0.5 if len(shape) > 1 else 0.3
        return self.builder.constant((random.standard_normal(shape) * spread).astype(np.float32))

    def op(self, op: Op, *inputs: str) -> str:
        """The first result of `op`."""
        return self.builder.op(op, *inputs)

    def conv(self, x: str, out: int, kernel: tuple[int, ...], **options: Any) -> str:
        """A convolution of `x` with bias to `out` channels."""
        rank, groups = len(kernel), options.get("groups", 1)
        every = {"strides": (1,) * rank, "dilations": (1,) * rank, "pads": ((0, 0),) * rank}
        weight = self.constant(out, self.builder.types[x].shape[1] // groups, *kernel)
        return self.op(Conv(**{**every, **options}), x, weight, self.constant(out))


@dataclass(frozen=True)
class Sample:
    """A graph by name; `draw` makes it on a sketch and returns its output."""

    name: str
    draw: Callable[[Sketch], str]

    def graph(self, batch: int = 1, times: int = 1) -> Graph:
        """The graph for `batch` samples with `times` as many output channels."""
        sketch = Sketch(batch, times, Builder(self.name.replace(" ", "_")))
        return sketch.builder.graph(self.draw(sketch), output_names=["out"])

    def program(self, batch: int = 1, times: int = 1) -> Program:
        """The same, as a program."""
        return Program(self.graph(batch, times))


def _conv(
    channels: int, size: tuple[int, ...], out: int, kernel: tuple[int, ...], **options: Any
) -> Callable[[Sketch], str]:
    """A convolution with relu of an image [batch, channels, *size]."""

    def draw(s: Sketch) -> str:
        if options.get("groups") == channels:  # depthwise: as many inputs as output channels
            wide = channels * s.times
            x, more = s.input(wide, *size), {**options, "groups": wide}
        else:
            x, more = s.input(channels, *size), options
        return s.op(Relu(), s.conv(x, out * s.times, kernel, **more))

    return draw


def _transposed(s: Sketch) -> str:
    weight = s.constant(4, 5 * s.times, 3, 3)
    return s.op(ConvTranspose((2, 2), ONE, output_pads=(1, 0)), s.input(4, 5, 4), weight)


def _linear(s: Sketch) -> str:
    out = 10 * s.times
    return s.op(Linear(), s.input(24), s.constant(out, 24), s.constant(out))


def _matmul(s: Sketch) -> str:
    return s.op(MatMul(), s.input(5, 6), s.input(6, 7 * s.times, name="y"))


def _pools(s: Sketch) -> str:
    x = s.op(MaxPool((3, 3), (2, 2), ONE), s.input(8 * s.times, 9, 8))
    return s.op(AvgPool((2, 2), (1, 2)), x)


def _softmax(s: Sketch) -> str:
    return s.op(Softmax(), s.input(3, 10 * s.times))


def _residual(s: Sketch) -> str:
    out = 8 * s.times
    x = s.op(Relu(), s.conv(s.input(3, 6, 6), out, (3, 3), pads=ONE))
    return s.op(Relu(), s.op(Add(), s.conv(x, out, (1, 1)), x))


def _concat(s: Sketch) -> str:
    x = s.input(3, 6, 7)
    both = s.op(Concat(1), s.conv(x, 6, (1, 1)), s.conv(x, 4, (3, 3), pads=ONE))
    return s.conv(both, 7 * s.times, (1, 1))


def _inverted(s: Sketch) -> str:
    """An inverted bottleneck, all of it small (Sandler et al., MobileNetV2, 2018)."""
    wide = 32
    x = s.op(Relu(), s.conv(s.input(8, 8, 8), wide, (1, 1)))
    x = s.op(Relu(), s.conv(x, wide, (3, 3), pads=ONE, groups=wide))
    return s.conv(x, 8 * s.times, (1, 1))


def _classifier(s: Sketch) -> str:
    x = s.op(Relu(), s.conv(s.input(3, 9, 9), 16, (3, 3), strides=(2, 2), pads=ONE))
    x = s.op(MaxPool((2, 2), (2, 2)), x)
    flat = s.op(Flatten(1), s.op(ReduceMean((2, 3), True), x))
    out = 10 * s.times
    return s.op(Linear(), flat, s.constant(out, 16), s.constant(out))


def _recurrent(s: Sketch) -> str:
    """[time, batch, 6]."""
    size = 5 * s.times
    x = s.builder.input("x", (4, s.batch, 6))
    return s.op(Gru(), x, s.constant(1, 3 * size, 6), s.constant(1, 3 * size, size))


SAMPLES = (
    Sample("conv padded", _conv(3, (9, 8), 8, (3, 3), pads=((1, 1), (0, 1)))),
    Sample("conv strided", _conv(2, (15, 13), 8, (5, 3), strides=(2, 3), pads=((2, 2), (1, 0)))),
    Sample("conv dilated", _conv(3, (12, 9), 6, (3, 3), dilations=(2, 1), pads=((2, 2), (1, 1)))),
    Sample("conv grouped", _conv(6, (7, 7), 9, (3, 3), groups=3, pads=ONE)),
    Sample("depthwise", _conv(8, (9, 9), 8, (3, 3), groups=8, pads=ONE)),
    Sample("pointwise", _conv(16, (6, 7), 12, (1, 1))),
    Sample("conv over a line", _conv(3, (17,), 6, (5,), strides=(2,), pads=((2, 1),))),
    Sample("conv over a volume", _conv(2, (4, 6, 5), 5, (2, 3, 2), pads=((1, 0), (1, 1), (0, 1)))),
    Sample("conv transposed", _transposed),
    Sample("linear", _linear),
    Sample("matmul", _matmul),
    Sample("recurrent", _recurrent),
    Sample("pools", _pools),
    Sample("softmax", _softmax),
    Sample("residual", _residual),
    Sample("concat", _concat),
    Sample("inverted bottleneck", _inverted),
    Sample("classifier", _classifier),
)
