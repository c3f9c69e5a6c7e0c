"""Functions of whole rows that keep the shape: softmax and the normalizations, in float32.

A row is read once for each statistic and once for the result; it stays in the nearest cache. The
variance is the mean square of the distances to the mean, which does not cancel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from tvm import tirx

from codesign.targets.tvm import math
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.fold import FAST_MAX, FOLDS, SUM, Fold
from codesign.targets.tvm.kernels.rows import Result, Row, Rows, Value, keep
from codesign.targets.tvm.math import at_least, number
from codesign.targets.tvm.tir import Expr, Function, PrimFunc, load

FLOAT = "float32"


@dataclass(frozen=True)
class RowShape:
    """A buffer of `shape` seen as [outer, n, inner]."""

    shape: tuple[int, ...]
    outer: int
    n: int
    inner: int

    @staticmethod
    def along(shape: tuple[int, ...], axis: int) -> "RowShape":
        """Rows along one axis."""
        return RowShape(shape, prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]))

    @staticmethod
    def behind(shape: tuple[int, ...], axis: int) -> "RowShape":
        """Rows over all axes from `axis` on."""
        return RowShape(shape, prod(shape[:axis]), prod(shape[axis:]), 1)


# Given a row, its elements by position, and the buffer of results by position: emits what must be
# computed first and returns each element of the result by position and lane.
Body = Callable[[Row, Value, "Out"], Callable[[Expr, Expr], Expr]]


@dataclass(frozen=True)
class Out:
    """The buffer of results while it holds intermediate values."""

    at: Value
    put: Callable[[Expr, Expr], None]


def emit(name: str, shape: RowShape, isa: Isa, epilogue: Epilogue, body: Body) -> PrimFunc:
    """The kernel: buffers are x, the epilogue's operands, the result."""
    f = Function(name)
    x = f.argument("x", shape.shape, FLOAT)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape.shape, epilogue.out_dtype)

    def index(position: Expr) -> tuple[Expr, ...]:
        return unravel(position, shape.shape)

    def emit_row(row: Row) -> None:
        view = Out(lambda p, lane: load(out, index(p)), lambda p, v: f.store(out, v, index(p)))
        value = body(row, lambda p, lane: load(x, index(p)), view)
        row.each(
            lambda p, lane: f.store(
                out, epilogue.apply(value(p, lane), index(p), operands), index(p)
            )
        )

    Rows(f, shape.outer, shape.n, shape.inner, isa.f32_lanes).each(emit_row)
    return f.build()


def softmax(row: Row, x: Value, out: Out) -> Callable[[Expr, Expr], Expr]:
    """exp(x - max) over its sum; the exponentials lie in the result meanwhile."""
    top = row.fold(FAST_MAX, FLOAT, x)
    row.each(lambda p, lane: out.put(p, math.exp_negative(x(p, lane) - top(lane))))
    total = row.fold(SUM, FLOAT, out.at)
    inverse = keep(row.f, "inverse", row, lambda lane: number(1, total(lane)) / total(lane))
    return lambda p, lane: out.at(p, lane) * inverse(lane)


def log_softmax(row: Row, x: Value, out: Out) -> Callable[[Expr, Expr], Expr]:
    """x - max - log(sum of exp(x - max))."""
    top = row.fold(FAST_MAX, FLOAT, x)
    row.each(lambda p, lane: out.put(p, math.exp_negative(x(p, lane) - top(lane))))
    total = row.fold(SUM, FLOAT, out.at)
    lost = keep(row.f, "lost", row, lambda lane: math.log(total(lane)))
    return lambda p, lane: x(p, lane) - top(lane) - lost(lane)


def layer_norm(epsilon: float) -> Body:
    """(x - mean) / sqrt(variance + epsilon)."""

    def body(row: Row, x: Value, out: Out) -> Callable[[Expr, Expr], Expr]:
        total = row.fold(SUM, FLOAT, x)
        mean = keep(row.f, "mean", row, lambda lane: total(lane) * number(1 / row.n, total(lane)))
        spread = row.fold(_SQUARES, FLOAT, lambda p, lane: x(p, lane) - mean(lane))
        scale = _inverse_root(row, spread, epsilon)
        return lambda p, lane: (x(p, lane) - mean(lane)) * scale(lane)

    return body


def rms_norm(epsilon: float) -> Body:
    """x / sqrt(mean square + epsilon)."""

    def body(row: Row, x: Value, out: Out) -> Callable[[Expr, Expr], Expr]:
        scale = _inverse_root(row, row.fold(_SQUARES, FLOAT, x), epsilon)
        return lambda p, lane: x(p, lane) * scale(lane)

    return body


def lp_norm(fold: Fold, epsilon: float) -> Body:
    """x over the p-norm that `fold` makes, which counts as `epsilon` at least, and as 1 if 0."""

    def body(row: Row, x: Value, out: Out) -> Callable[[Expr, Expr], Expr]:
        parts = row.fold(fold, FLOAT, x)

        def norm(lane: Expr) -> Expr:
            value = at_least(fold.leave(parts(lane), row.n), epsilon)
            return tirx.Select(value > number(0, value), value, number(1, value))

        held = keep(row.f, "norm", row, norm)
        return lambda p, lane: x(p, lane) / held(lane)

    return body


_SQUARES = FOLDS["reduce_sum_square"]


def _inverse_root(row: Row, squares: Result, epsilon: float) -> Result:
    def value(lane: Expr) -> Expr:
        mean = squares(lane) * number(1 / row.n, squares(lane))
        return number(1, mean) / tirx.sqrt(mean + number(epsilon, mean))

    return keep(row.f, "scale", row, value)
