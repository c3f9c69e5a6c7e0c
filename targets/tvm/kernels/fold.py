"""Folds: how many elements become one (sum, maximum, norm), one element or vector at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any

from tvm import tirx

from codesign.targets.tvm.scalar import lowered, number
from codesign.targets.tvm.tir import Expr, dtype_of, multiply_add


@dataclass(frozen=True)
class Fold:
    """start, then acc = step(acc, x) for each x; merge(a, b) joins two parts of a fold.

    leave(acc, count) is the result over `count` elements. Integers are folded in `wide`, if given.
    """

    start: Callable[[str], Expr]
    step: Callable[[Expr, Expr], Expr]
    merge: Callable[[Expr, Expr], Expr]
    leave: Callable[[Expr, Any], Expr] = lambda acc, count: acc

    @staticmethod
    def carrier(dtype: str) -> str:
        """The type in which elements of `dtype` are folded."""
        return "float32" if dtype == "float16" else dtype


def _constant(value: float) -> Callable[[str], Expr]:
    return lambda dtype: tirx.const(value, dtype)


def _add(a: Expr, b: Expr) -> Expr:
    return a + b


def _mean(acc: Expr, count: Any) -> Expr:
    if not dtype_of(acc).startswith("float"):
        return tirx.truncdiv(acc, number(count, acc))
    if not isinstance(count, int):
        return acc / count
    return acc * number(1 / count if count else nan, acc)


def _largest(a: Expr, b: Expr) -> Expr:
    """The larger of two; NaN if either is."""
    if not dtype_of(a).startswith("float"):
        return tirx.max(a, b)
    return tirx.Select(tirx.Or(a > b, tirx.isnan(a)), a, b)


def _smallest(a: Expr, b: Expr) -> Expr:
    if not dtype_of(a).startswith("float"):
        return tirx.min(a, b)
    return tirx.Select(tirx.Or(a < b, tirx.isnan(a)), a, b)


def _lowest(dtype: str) -> Expr:
    return tirx.const(float("-inf"), dtype) if dtype[0] == "f" else tirx.min_value(dtype)


def _highest(dtype: str) -> Expr:
    return tirx.const(float("inf"), dtype) if dtype[0] == "f" else tirx.max_value(dtype)


def _square(acc: Expr, x: Expr) -> Expr:
    if dtype_of(acc).startswith("float"):
        return multiply_add(x, x, acc)
    return acc + x * x


def _function(name: str, x: Expr) -> Expr:
    """The element-wise op `name` of x."""
    from codesign.ir.ops import OPS

    return lowered(OPS[name](), [x])


def _root(acc: Expr, count: Any) -> Expr:
    if dtype_of(acc).startswith("float"):
        return _function("sqrt", acc)
    return tirx.sqrt(acc.astype("float64")).astype(dtype_of(acc))


SUM = Fold(_constant(0), _add, _add)
MEAN = Fold(_constant(0), _add, _add, _mean)
MAX = Fold(_lowest, _largest, _largest)
MIN = Fold(_highest, _smallest, _smallest)
# Whether NaN wins is not said of pools; this form is one instruction.
FAST_MAX = Fold(_lowest, lambda acc, x: tirx.max(acc, x), lambda a, b: tirx.max(a, b))

FOLDS: dict[str, Fold] = {
    "reduce_sum": SUM,
    "reduce_mean": MEAN,
    "reduce_max": MAX,
    "reduce_min": MIN,
    "reduce_prod": Fold(_constant(1), lambda a, b: a * b, lambda a, b: a * b),
    "reduce_l1": Fold(_constant(0), lambda acc, x: acc + _function("abs", x), _add),
    "reduce_l2": Fold(_constant(0), _square, _add, _root),
    "reduce_log_sum": Fold(_constant(0), _add, _add, lambda acc, count: _function("log", acc)),
    "reduce_sum_square": Fold(_constant(0), _square, _add),
}
