"""The networks of FINN and BNN-PYNQ, with random weights and statistics, and published foldings."""

from collections.abc import Sequence

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.shape import Flatten

Pairs = tuple[tuple[int, int], ...]
# (PE, SIMD) of each layer; Xilinx/BNN-PYNQ, bnn/src/network/*/hw/config.h, and
# Xilinx/finn-examples, build/bnn-pynq/folding_config/*.json.
CNV_W1: Pairs = (
    (16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (4, 1),
)  # fmt: skip
CNV_W2A2: Pairs = (
    (8, 3), (16, 16), (8, 16), (8, 16), (4, 8), (1, 8), (1, 2), (2, 2), (4, 1),
)  # fmt: skip
CNV_EXAMPLES: Pairs = (*CNV_W1[:-1], (5, 1))
CNV_EXAMPLES_W2A2: Pairs = (*CNV_W2A2[:-1], (5, 1))
LFC: Pairs = ((32, 64), (64, 32), (32, 64), (16, 8))
TFC_EXAMPLES: Pairs = ((16, 49), (8, 8), (8, 8), (10, 8))


def activation(bits: int) -> Grid:
    """Signs, or unsigned codes of 2 or 3 bits between 0 and 1."""
    if bits == 1:
        return Binary()
    return Int(bits, Const(1.0 / ((1 << bits) - 1), "float32"), signed=False)


def weight_form(bits: int) -> Grid:
    """Signs, or -1, 0 and 1."""
    return Binary() if bits == 1 else Ternary()


class Net:
    """Layers with batch norm and codes behind each but the last, whose sums leave."""

    def __init__(self, name: str, weight_bits: int, bits: int, seed: int = 0) -> None:
        self.builder, self.random = Builder(name), np.random.default_rng(seed)
        self.weights, self.bits = weight_form(weight_bits), bits
        self.layers: list[str] = []

    def input(self, shape: Sequence[int], form: Grid) -> str:
        """An image, encoded on the host."""
        return self.coded(self.builder.input("x", (1, *shape)), form, "x.codes")

    def coded(self, value: str, form: Grid, name: str) -> str:
        """`value` in codes of `form`."""
        b = self.builder
        made = b.op(Encode(), value, name=name)
        b.types[made] = b.types[made].with_encoding(form)
        return made

    def layer(self, x: str, rows: int, kernel: int = 0, last: bool = False) -> str:
        """A convolution without padding, or a linear layer; codes of it unless it is the last."""
        b, name = self.builder, f"L{len(self.layers)}"
        self.layers.append(name)
        columns = b.types[x].shape[1]
        shape = (rows, columns, kernel, kernel) if kernel else (rows, columns)
        signs = (
            self.random.integers(-1, 2, shape)
            if self.weights.code_bits > 1
            else (self.random.integers(0, 2, shape) * 2 - 1)
        )
        w = b.constant(signs.astype(np.float32), f"{name}.w", (self.weights,))
        y = b.op(Conv() if kernel else Linear(), x, w, name=name)
        if last:
            return y
        spread = float(np.sqrt(signs[0].size))
        draw = self.random.standard_normal
        scale = draw(rows) / spread
        statistics = (scale, draw(rows), draw(rows) * spread / 2, np.ones(rows))
        names = ("scale", "bias", "mean", "var")
        given = [
            b.constant(v.astype(np.float32), f"{name}.{n}")
            for n, v in zip(names, statistics, strict=True)
        ]
        y = b.op(BatchNorm(), y, *given, name=f"{name}.norm")
        return self.coded(y, activation(self.bits), f"{name}.codes")


def cnv(weight_bits: int = 1, bits: int = 1, classes: int = 64) -> Graph:
    """CNV of FINN (2017, section 4.1): 3x32x32 images of 8 bits, six convolutions, three layers."""
    net = Net(f"cnv_w{weight_bits}a{bits}", weight_bits, bits)
    x = net.input((3, 32, 32), Int(8, Const(2.0**-7, "float32")))
    for pair in (64, 128, 256):
        x = net.layer(net.layer(x, pair, 3), pair, 3)
        if pair < 256:
            pool = net.builder.op(MaxPool((2, 2), (2, 2)), x, name=f"pool{pair}")
            net.builder.types[pool] = (
                net.builder.types[x]
                .without()
                .__class__(net.builder.types[pool].shape, encodings=net.builder.types[x].encodings)
            )
            x = pool
    flat = net.builder.op(Flatten(), x, name="flat")
    net.builder.types[flat] = net.builder.types[flat].with_encoding(activation(bits))
    x = net.layer(net.layer(flat, 512), 512)
    return net.builder.graph(net.layer(x, classes, last=True), output_names=["out"])


def fully_connected(
    name: str, widths: Sequence[int], inputs: int, classes: int, weight_bits: int = 1, bits: int = 1
) -> Graph:
    """SFC, LFC and TFC (FINN, 2017, section 4.1): images in signs, three hidden layers."""
    net = Net(name, weight_bits, bits)
    x = net.input((inputs,), Binary())
    for width in widths:
        x = net.layer(x, width)
    return net.builder.graph(net.layer(x, classes, last=True), output_names=["out"])


def lfc(weight_bits: int = 1, bits: int = 1) -> Graph:
    """LFC as BNN-PYNQ has it: 832 inputs and 64 outputs, 784 and 10 filled up."""
    return fully_connected(f"lfc_w{weight_bits}a{bits}", (1024,) * 3, 832, 64, weight_bits, bits)
