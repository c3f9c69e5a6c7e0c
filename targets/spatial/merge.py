"""Several groups of a convolution as one, with zeros as the weights between them.

An array whose columns share their inputs computes one group at a time, most of it idle where groups
are thin. A denser convolution of as many channels as the array has room for does the same with
multiplications by zero that cost no time (XLA's convolution group converter does this).
"""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.operands import Widths
from codesign.errors import RefusedError
from codesign.ir.op import Op
from codesign.ir.ops.convolution import Conv
from codesign.ir.types import TensorType
from codesign.machine.machine import Machine
from codesign.mapping.group import Group

Codes = NDArray[Any]
Types = tuple[TensorType | None, ...]


def room(group: Group, machine: Machine, widths: Widths) -> int:
    """How many groups of the layer `group` the axes of `machine` have room for as one; 1 if none.

    Always a divisor of the number of groups.
    """
    op, weight = group.anchor.op, group.input_type(1)
    if not machine.mapping.merge or not isinstance(op, Conv) or weight is None:
        return 1
    if op.groups == 1 or group.constant(1) is None:
        return 1
    filters, channels = weight.shape[0] // op.groups, weight.shape[1]
    most = min(_size(machine, widths, "c") // channels, _size(machine, widths, "m") // filters)
    return max((n for n in range(1, most + 1) if op.groups % n == 0), default=1)


def _size(machine: Machine, widths: Widths, loop: str) -> int:
    """Over how many elements `loop` may be spread."""
    parts = max(1, int(machine.datapath.parts(widths.input, widths.weight)))
    axes = (axis for axis in machine.axes if loop in axis.unroll)
    return prod((axis.size * (parts if axis.fused else 1) for axis in axes), start=1)


def merged(op: Op, types: Types, count: int) -> tuple[Op, Types]:
    """The convolution `op` with each `count` of its groups as one, and the types of its operands.

    RefusedError if it is none, or its groups cannot be taken so.
    """
    weight = types[1]
    if not isinstance(op, Conv) or weight is None or op.groups % count:
        raise RefusedError(f"{op.kind} has no groups of which {count} could run as one")
    shape = (weight.shape[0], weight.shape[1] * count, *weight.shape[2:])
    wide = (types[0], TensorType(shape, weight.dtype), *types[2:])
    return replace(op, groups=op.groups // count), wide


def densified(codes: Codes, op: Op, count: int) -> Codes:
    """Weights [M, C, *K] of the convolution `op` as [M, C * count, *K], `count` groups being one.

    Zero wherever an output meets another group's input.
    """
    assert isinstance(op, Conv)
    rows, channels = codes.shape[:2]
    own = np.arange(rows) // (rows // op.groups) % count
    found = np.zeros((rows, count, channels, *codes.shape[2:]), codes.dtype)
    found[np.arange(rows), own] = codes
    return found.reshape(rows, count * channels, *codes.shape[2:])
