"""Ops whose element is a formula of its index: gathers by element, triangles, interpolation.

The formula is the start of a chain, so that element-wise ops fuse behind it.
"""

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any, ClassVar

import numpy as np
from tvm import tirx

from codesign.ir.ops.gather import GatherElements, GatherNd, OneHot
from codesign.ir.ops.norm import Lrn
from codesign.ir.ops.rearrange import Trilu
from codesign.ir.ops.resize import Resize
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import Chain, Env, Expr, Value, refuse_chain
from codesign.targets.tvm.emitted import Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import elementwise
from codesign.targets.tvm.math import number
from codesign.targets.tvm.patterns.pool import refuse_encoded
from codesign.targets.tvm.scalar import power
from codesign.targets.tvm.storage import physical_shape
from codesign.targets.tvm.tir import load

TERMS = 64  # products that an interpolation may write out
Source = Callable[[Env, Sequence[Expr]], Expr]


def source(chain: Chain, role: int) -> Source:
    """The anchor's input `role`, to be loaded at any physical index."""
    value = chain.group.input(role)
    assert value is not None
    slot = chain.operand_slot(value)
    return lambda env, index: load(env.buffers[slot], tuple(index) or (0,))


def wrapped(position: Expr, extent: int) -> Expr:
    """A position from run time within [0, extent): negative ones count from the end."""
    at = position.astype("int32")
    at = tirx.Select(at < 0, at + extent, at)
    return tirx.max(0, tirx.min(at, extent - 1))


def _gather_elements(op: GatherElements, chain: Chain) -> Value:
    x, indices = source(chain, 0), source(chain, 1)
    extent = _shape(chain, 0)[op.axis]

    def value(env: Env) -> Expr:
        index = list(env.index)
        index[op.axis] = wrapped(indices(env, env.index), extent)
        return x(env, index)

    return value


def _gather_nd(op: GatherNd, chain: Chain) -> Value:
    x, indices = source(chain, 0), source(chain, 1)
    shape, places = _shape(chain, 0), _shape(chain, 1)

    def value(env: Env) -> Expr:
        lead = len(places) - 1
        outer, rest = env.index[:lead], env.index[lead:]
        found = [wrapped(indices(env, (*outer, k)), shape[op.batch + k]) for k in range(places[-1])]
        return x(env, (*outer[: op.batch], *found, *rest)[: len(shape)])

    return value


def _one_hot(op: OneHot, chain: Chain) -> Value:
    indices = source(chain, 0)
    dtype = chain.group.anchor_type.dtype.numpy.name

    def value(env: Env) -> Expr:
        at = indices(env, (*env.index[: op.axis], *env.index[op.axis + 1 :]))
        at = tirx.Select(at < number(0, at), at + number(op.depth, at), at).astype("int64")
        here = at == env.index[op.axis].astype("int64")
        on, off = (_constant(v, dtype) for v in (op.on, op.off))
        return tirx.Select(here, on, off)

    return value


def _constant(value: float, dtype: str) -> Expr:
    if dtype == "bool":
        return tirx.const(bool(value), dtype)
    return tirx.const(value if dtype.startswith("float") else int(value), dtype)


def _trilu(op: Trilu, chain: Chain) -> Value:
    x = source(chain, 0)

    def value(env: Env) -> Expr:
        row, column = env.index[-2], env.index[-1]
        distance = column - row
        kept = distance >= op.diagonal if op.upper else distance <= op.diagonal
        full = x(env, env.index)
        return tirx.Select(kept, full, _constant(0, str(full.ty.dtype)))

    return value


def _lrn(op: Lrn, chain: Chain) -> Value:
    x, channels = source(chain, 0), _shape(chain, 0)[1]

    def value(env: Env) -> Expr:
        here = x(env, env.index)
        total = number(0, here)
        for shift in range(-((op.size - 1) // 2), op.size // 2 + 1):
            channel = env.index[1] + shift
            inside = tirx.And(channel >= 0, channel < channels)
            bounded = tirx.max(0, tirx.min(channel, channels - 1))
            y = x(env, (env.index[0], bounded, *env.index[2:]))
            total = total + tirx.Select(inside, y * y, number(0, here))
        scale = number(op.bias, here) + number(op.alpha / op.size, here) * total
        return here / power(scale, op.beta)

    return value


def taps(op: Resize, axis: int, extent: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and weights [size, taps] of an interpolated axis, as few taps as there are."""
    matrix = op.weights(axis, extent)
    most = max(1, int((matrix != 0).sum(1).max()))
    order = np.sort(np.argsort(matrix == 0, axis=1, kind="stable")[:, :most], axis=1)
    return order.astype(np.int32), np.take_along_axis(matrix, order, 1).astype(np.float32)


def _resize(op: Resize, chain: Chain) -> Value:
    x = source(chain, 0)
    kind = chain.group.input_type(0)
    assert kind is not None
    axes = op.resampled(kind.shape)
    tables = []
    for axis in axes:
        positions, weights = taps(op, axis, kind.shape[axis])
        tables.append(
            (axis, chain.table(positions, axis), chain.table(weights, axis), weights.shape[1])
        )

    def value(env: Env) -> Expr:
        total: Expr = None
        for choice in product(*(range(count) for *_, count in tables)):
            index, weight = list(env.index), None
            for tap, (axis, positions, weights, _) in zip(choice, tables, strict=True):
                index[axis] = load(env.buffers[positions], (env.index[axis], tap))
                w = load(env.buffers[weights], (env.index[axis], tap))
                weight = w if weight is None else weight * w
            term = x(env, index) if weight is None else x(env, index) * weight
            total = term if total is None else total + term
        return total

    return value


def _shape(chain: Chain, role: int) -> tuple[int, ...]:
    kind = chain.group.input_type(role)
    assert kind is not None
    return kind.shape


FORMULAS: dict[str, Callable[[Any, Chain], Value]] = {
    "gather_elements": _gather_elements,
    "gather_nd": _gather_nd,
    "lrn": _lrn,
    "one_hot": _one_hot,
    "resize": _resize,
    "trilu": _trilu,
}


class Indexed(CpuKernel):
    """Gathers by element, one-hot codes, triangles, interpolation, neighbouring channels."""

    name: ClassVar[str] = "indexed"
    anchors: ClassVar[frozenset[str]] = frozenset(FORMULAS)

    def refuse(self, group: Group) -> Refusal | None:
        op, kind = group.anchor.op, group.input_type(0)
        assert kind is not None
        if not kind.size:
            return Refusal("positions are in a tensor with elements", f"it is {kind}")
        if isinstance(op, Resize):
            if kind.dtype != "f32" or op.mode == "nearest":
                return Refusal("interpolation is of float32", f"this is {op.mode} of {kind}")
            counts = [
                taps(op, axis, kind.shape[axis])[0].shape[1] for axis in op.resampled(kind.shape)
            ]
            if prod(counts) > TERMS:
                return Refusal(
                    f"at most {TERMS} neighbours are weighed", f"here are {prod(counts)}"
                )
        return refuse_encoded(group) or refuse_chain(group)

    def layouts(self, group: Group) -> Layouts | None:
        op, kind = group.anchor.op, group.input_type(0)
        assert kind is not None
        if isinstance(op, Resize) and not set(op.resampled(kind.shape)) & {0, 1}:
            return None
        return dict.fromkeys((*group.variables, *group.outputs), None)

    def emit(self, group: Group, point: Point) -> Emitted:
        chain = Chain(group)
        epilogue = chain.epilogue(FORMULAS[group.anchor.kind](group.anchor.op, chain))
        shape = physical_shape(group.output_type)
        return Emitted(
            lambda name: elementwise.emit(name, shape, self.isa, epilogue),
            (*chain.arguments, *group.outputs),
        )
