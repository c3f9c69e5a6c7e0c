"""A small convolution to tune, as a task and placed."""

from functools import cache

import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.program import Program
from codesign.targets.tvm.target import Cpu
from codesign.tune.work import Parcel, Task, parcel, tasks_of

TARGET = Cpu("avx2")


def network(layers: int = 1, channels: int = 16) -> Program:
    """Equal 3x3 convolutions with relu in a row, placed."""
    builder = Builder("net")
    value = builder.input("x", (1, channels, 6, 6))
    random = np.random.default_rng(0)
    for i in range(layers):
        weight = random.standard_normal((channels, channels, 3, 3)).astype(np.float32)
        value = builder.op(Conv(pads=((1, 1), (1, 1))), value, builder.constant(weight, f"w{i}"))
        value = builder.op(Relu(), value, name=f"layer{i}")
    return TARGET.place(Program(builder.graph(value)))


@cache
def task() -> Task:
    """The task of a network of one layer."""
    (found,) = (t for t in tasks_of(network()) if t.op == "conv")
    return found


@cache
def sent() -> Parcel:
    """What a worker gets of it."""
    return parcel(task())
