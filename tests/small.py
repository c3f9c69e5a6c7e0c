"""A small network that compiles in a second or two, for tests of everything around kernels."""

from functools import cache

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.shape import Transpose
from codesign.runtime.compiled import Compiled


def small_graph() -> Graph:
    """Two convolutions and a residual add: float32 `x` [1, 3, 8, 8] to `out` [1, 16, 8, 8]."""
    random = np.random.default_rng(0)
    b = Builder("small")

    def weight(name: str, *shape: int) -> str:
        return b.constant(random.standard_normal(shape).astype(np.float32) * 0.2, name)

    x = b.input("x", (1, 3, 8, 8))
    pads = ((1, 1), (1, 1))
    first = b.op(Conv(pads=pads), x, weight("w1", 16, 3, 3, 3), weight("b1", 16), name="first")
    first = b.op(Relu(), first, name="first.relu")
    second = b.op(Conv(pads=pads), first, weight("w2", 16, 16, 3, 3), name="second")
    last = b.op(Relu(), b.op(Add(), second, first, name="sum"), name="last")
    return b.graph(last, output_names=["out"])


def small_program() -> Graph:
    """What `tests.small:small_program` names on the command line."""
    return small_graph()


def attending_model() -> Graph:
    """A linear layer, and a product of its result `y` [1, 6, 16] with itself."""
    b = Builder("attending")
    weight = b.constant(np.eye(16, dtype=np.float32)[::-1] + 0.1, "w")
    y = b.op(Linear(), b.input("x", (1, 6, 16)), weight, name="y")
    return b.graph(b.op(MatMul(), y, b.op(Transpose((0, 2, 1)), y, name="t"), name="product"))


def empty_model() -> Graph:
    """A convolution that takes no sample at a time."""
    b = Builder("empty")
    weight = b.constant(np.ones((4, 3, 3, 3), np.float32), "w")
    return b.graph(b.op(Conv(), b.input("x", (0, 3, 8, 8)), weight, name="y"), output_names=["y"])


def broken_model() -> Graph:
    """A user's function that fails."""
    raise RuntimeError("boom")


def training_model() -> tuple[object, tuple[object]]:
    """A torch module that was never told to infer, and its input."""
    import torch

    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout()), (torch.zeros(1, 3),)


def small_input(samples: int = 1, seed: int = 1) -> np.ndarray:
    """Random samples [samples, 3, 8, 8]."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((samples, 3, 8, 8)).astype(np.float32)


@cache
def small_compiled() -> Compiled:
    """The network compiled by the default recipe; shared, since tests only read it."""
    import codesign as cd

    return cd.compile(small_graph(), target="cpu", measure="none")
