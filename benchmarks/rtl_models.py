"""A small binary network for images of Fashion-MNIST, its norms set by what it sees of them."""

import numpy as np
import torch

from codesign.demo.data import STD, load_calibration
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.shape import Flatten

IMAGE = Int(8, Const(1 / 255 / STD, "float32"))
SEEN = 64  # images whose sums set the norms
Pair = tuple[int, int]


class _Net:
    """Layers of signs, and beside each value what it is on some images of the training set."""

    def __init__(self, batch: int, channels: int, image: Grid) -> None:
        self.builder, self.random = Builder("fashion"), np.random.default_rng(0)
        images = torch.from_numpy(load_calibration().images[:SEEN])
        x = self.builder.input("x", (batch, 1, 28, 28))
        self.value, self.seen = x, images
        self.code("x.codes", image)
        if isinstance(image, Binary):
            self.seen = torch.where(images >= 0, 1.0, -1.0)
        self.channels = channels

    def code(self, name: str, form: Grid) -> None:
        """The value in codes of `form`."""
        b = self.builder
        self.value = b.op(Encode(), self.value, name=name)
        b.types[self.value] = b.types[self.value].with_encoding(form)

    def layer(self, name: str, rows: int, conv: Conv | None = None) -> None:
        """A layer of signs; a convolution of 3 x 3 with `conv`."""
        b, columns = self.builder, self.builder.types[self.value].shape[1]
        shape = (rows, columns) if conv is None else (rows, columns, 3, 3)
        signs = (self.random.integers(0, 2, shape) * 2 - 1).astype(np.float32)
        w = b.constant(signs, f"{name}.w", (Binary(),))
        self.value = b.op(conv or Linear(), self.value, w, name=name)
        weight = torch.from_numpy(signs)
        if conv is None:
            self.seen = self.seen @ weight.T
        else:
            pad = conv.pads[0][0] if conv.pads else 0
            stride = conv.strides[0] if conv.strides else 1
            self.seen = torch.nn.functional.conv2d(self.seen, weight, None, stride, pad)

    def norm(self) -> None:
        """A batch norm by what was seen, scales of both signs; then signs."""
        b, axes = self.builder, (0, 2, 3)
        rows = self.seen.shape[1]
        mean, variance = self.seen.mean(axes), self.seen.var(axes)
        scale = torch.from_numpy(self.random.standard_normal(rows).astype(np.float32))
        shift = torch.from_numpy(self.random.standard_normal(rows).astype(np.float32) * 0.2)
        parts = [p.numpy().astype(np.float32) for p in (scale, shift, mean, variance)]
        name, constants = self.value, [b.constant(p, "n") for p in parts]
        self.value = b.op(BatchNorm(), self.value, *constants, name=f"{name}.norm")
        self.code(f"{name}.codes", Binary())
        laid = [torch.from_numpy(p).reshape(1, -1, 1, 1) for p in parts]
        made = (self.seen - laid[2]) / (laid[3] + 1e-5).sqrt() * laid[0] + laid[1]
        self.seen = torch.where(made >= 0, 1.0, -1.0)

    def pool(self, name: str) -> None:
        """A maximum of 2 x 2 codes."""
        b, form = self.builder, self.builder.types[self.value].grid
        assert form is not None
        self.value = b.op(MaxPool((2, 2), (2, 2)), self.value, name=name)
        b.types[self.value] = b.types[self.value].with_encoding(form)
        self.seen = torch.nn.functional.max_pool2d(self.seen, 2)

    def flat(self) -> None:
        """A vector of what there is."""
        b, form = self.builder, self.builder.types[self.value].grid
        assert form is not None
        self.value = b.op(Flatten(), self.value, name="flat")
        b.types[self.value] = b.types[self.value].with_encoding(form)
        self.seen = self.seen.flatten(1)


def fashion(batch: int = 1, channels: int = 8, image: Grid = IMAGE) -> Graph:
    """Three convolutions of signs, a pool, a linear layer to 10 sums; `image` codes the input."""
    net = _Net(batch, channels, image)
    net.layer("conv1", channels, Conv((2, 2)))
    net.norm()
    net.layer("conv2", 2 * channels, Conv(pads=((1, 1), (1, 1))))
    net.norm()
    net.pool("pool")
    net.layer("conv3", 2 * channels, Conv())
    net.norm()
    net.flat()
    net.layer("linear", 10)
    return net.builder.graph(net.value)
