"""Random small networks whose layers look like those of real ones, in every form of weights."""

import random
from collections.abc import Callable

import numpy as np

from codesign import plugins
from codesign.errors import CodesignError
from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Gelu, HardSwish, Relu, Sigmoid, Silu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.join import Concat
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.norm import LayerNorm
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Transpose
from codesign.ir.ops.softmax import Softmax
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pass

CHANNELS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024)
SIDES = (5, 7, 8, 10, 14, 16, 20, 28, 32, 40, 56, 64, 80, 112)
MOST_MACS = 3e8
MOST_ELEMENTS = 2e6
FORMS = (
    "", "", "",
    "quantize-int8{slower=true,samples=1,method=minmax}",
    "quantize-int8{slower=true,samples=1,method=minmax}",
    "prune-magnitude{sparsity=%s}",
    "prune-magnitude{sparsity=%s,pattern=%s}",
    "factorize-svd{slower=true,keep=0.7}",
)  # fmt: skip
SPARSITIES = ("0.5", "0.7", "0.8", "0.9", "0.95", "0.98")
PATTERNS = ("2:4", "1:4", "16x1", "8x1", "4x4")


class Draw:
    """A network under construction, drawn from `seed`."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(self.random.randrange(2**32))
        self.builder = Builder("layer")

    def constant(self, *shape: int) -> str:
        """A constant of normally distributed weights."""
        values = self.numbers.standard_normal(shape, np.float32) / np.float32(max(1, shape[-1]))
        return self.builder.constant(values, "w")

    def activation(self, x: str) -> str:
        """`x` after an activation or none."""
        op = self.random.choice((None, Relu(), Relu(), Silu(), HardSwish(), Sigmoid(), Gelu()))
        return x if op is None else self.builder.op(op, x)

    def image(self, most_channels: int = 1024) -> str:
        """An input [1, C, H, H]."""
        while True:
            c, side = self.random.choice(CHANNELS), self.random.choice(SIDES)
            if c <= most_channels and c * side * side <= MOST_ELEMENTS:
                return self.builder.input("x", (1, c, side, side))

    def rows(self) -> str:
        """An input [1, S, D]."""
        size = self.random.choice((1, 16, 32, 49, 64, 128, 197, 256))
        return self.builder.input("x", (1, size, self.random.choice(CHANNELS)))

    def shape(self, x: str) -> tuple[int, ...]:
        """Shape of a value."""
        return self.builder.types[x].shape

    def conv(self, x: str, kernel: int, stride: int, groups: int = 1) -> str:
        """A convolution of as many output channels as the limit of work allows."""
        _, c, height, width = self.shape(x)
        pixels = (height // stride) * (width // stride)
        most = MOST_MACS / max(1, pixels * c * kernel**2 / groups)
        outs = [o for o in CHANNELS if o <= most] or [8]
        out = c if groups > 1 else self.random.choice(outs)
        pad = (kernel // 2, kernel // 2)
        op = Conv((stride, stride), (pad, pad), groups=groups)
        return self.builder.op(
            op, x, self.constant(out, c // groups, kernel, kernel), self.constant(out)
        )


def _convs(draw: Draw) -> str:
    kernel, stride = draw.random.choice(((3, 1), (3, 1), (3, 2), (1, 1), (1, 2), (5, 1), (7, 2)))
    y = draw.activation(draw.conv(draw.image(), kernel, stride))
    return draw.conv(y, draw.random.choice((1, 3)), 1)


def _pointwise(draw: Draw) -> str:
    return draw.conv(draw.activation(draw.conv(draw.image(), 1, 1)), 1, 1)


def _residual(draw: Draw) -> str:
    x = draw.image(512)
    _, c, _, _ = draw.shape(x)
    y = draw.conv(x, 1, 1)
    kernel = draw.random.choice((1, 3))
    pad = (kernel // 2, kernel // 2)
    weight = draw.constant(c, draw.shape(y)[1], kernel, kernel)
    y = draw.builder.op(Conv(pads=(pad, pad)), y, weight, draw.constant(c))
    return draw.builder.op(Relu(), draw.builder.op(Add(), y, x))


def _depthwise(draw: Draw) -> str:
    x = draw.image()
    kernel, stride = draw.random.choice(((3, 1), (3, 2), (5, 1), (5, 2)))
    y = draw.activation(draw.conv(x, kernel, stride, draw.shape(x)[1]))
    return draw.conv(y, 1, 1)


def _inverted(draw: Draw) -> str:
    x = draw.image(192)
    _, c, side, _ = draw.shape(x)
    wide = c * draw.random.choice((3, 4, 6))
    kernel, stride = draw.random.choice(((3, 1), (3, 1), (3, 2), (5, 1), (5, 2)))
    if wide * side * side > MOST_ELEMENTS:
        wide = c
    y = draw.builder.op(Conv(), x, draw.constant(wide, c, 1, 1), draw.constant(wide))
    y = draw.builder.op(Relu(), y)
    y = draw.builder.op(Relu(), draw.conv(y, kernel, stride, wide))
    return draw.conv(y, 1, 1)


def _stem(draw: Draw) -> str:
    side = draw.random.choice((32, 64, 96, 112, 128, 160, 224))
    x = draw.builder.input("x", (1, draw.random.choice((1, 3)), side, side))
    kernel, stride = draw.random.choice(((3, 1), (3, 2), (7, 2), (5, 2)))
    _, c, _, _ = draw.shape(x)
    out, pad = draw.random.choice((8, 16, 24, 32, 64)), (kernel // 2, kernel // 2)
    weight = draw.constant(out, c, kernel, kernel)
    y = draw.builder.op(Conv((stride, stride), (pad, pad)), x, weight, draw.constant(out))
    return draw.conv(draw.activation(y), 1, 1)


def _pools(draw: Draw) -> str:
    y = draw.builder.op(Relu(), draw.conv(draw.image(256), 1, 1))
    kernel, stride = draw.random.choice(((2, 2), (3, 2), (3, 1)))
    window, steps = (kernel, kernel), (stride, stride)
    op = draw.random.choice((MaxPool(window, steps), AvgPool(window, steps), ReduceMean((2, 3))))
    return draw.builder.op(op, y)


def _elements(draw: Draw) -> str:
    x = draw.image()
    y = draw.builder.input("y", draw.shape(x))
    z = draw.activation(draw.builder.op(draw.random.choice((Add(), Mul())), x, y))
    return draw.builder.op(Concat(1), z, x) if draw.random.random() < 0.4 else z


def _mlp(draw: Draw) -> str:
    y = draw.rows()
    for _ in range(2):
        size, width = draw.shape(y)[1:]
        most = MOST_MACS / (size * width)
        out = draw.random.choice([c for c in (*CHANNELS, 1536, 2048, 3072) if c <= most] or [8])
        y = draw.activation(
            draw.builder.op(Linear(), y, draw.constant(out, width), draw.constant(out))
        )
    return y


def _attention(draw: Draw) -> str:
    heads, size = draw.random.choice((1, 4, 6, 12)), draw.random.choice((16, 49, 64, 128, 197))
    width = draw.random.choice((16, 32, 64))
    q, k, v = (draw.builder.input(name, (heads, size, width)) for name in "qkv")
    scores = draw.builder.op(MatMul(), q, draw.builder.op(Transpose((0, 2, 1)), k))
    return draw.builder.op(MatMul(), draw.builder.op(Softmax(2), scores), v)


def _normed(draw: Draw) -> str:
    x = draw.rows()
    width = draw.shape(x)[2]
    y = draw.builder.op(Add(), x, draw.builder.input("y", draw.shape(x)))
    return draw.builder.op(LayerNorm(2), y, draw.constant(width), draw.constant(width))


FAMILIES: tuple[Callable[[Draw], str], ...] = (
    _convs, _convs, _pointwise, _pointwise, _residual, _depthwise, _depthwise, _inverted,
    _inverted, _stem, _pools, _pools, _pools, _elements, _elements, _mlp, _mlp, _attention,
    _attention, _normed, _normed,
)  # fmt: skip


def network(seed: int, number: int) -> tuple[Program, str]:
    """The network `number` of a sequence that `seed` begins, and the pass that gave its form.

    Where the pass does not take the drawn network, that stays as it is.
    """
    draw = Draw(f"{seed} {number}")
    result = draw.random.choice(FAMILIES)(draw)
    program = Program(draw.builder.graph(result))
    form = draw.random.choice(FORMS)
    if "%s" in form:
        parts = (draw.random.choice(SPARSITIES), draw.random.choice(PATTERNS))
        form = form % parts[: form.count("%s")]
    if not form:
        return program, ""
    kinds = {name: program.graph.types[name] for name in program.graph.inputs}
    data = {n: draw.numbers.standard_normal(k.shape, np.float32) for n, k in kinds.items()}
    try:
        return run_pass(
            program, plugins.make("pass", form), Context(calibration=Dataset(data))
        ), form
    except CodesignError:
        return program, ""
