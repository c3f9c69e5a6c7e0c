"""Ops that walk along one axis in order: positions of extremes, running sums, the k largest.

A tensor is [outer, n, inner]; each of its outer * inner rows is one task's serial loop.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from codesign.targets.tvm.kernels.rows import WORK
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load

Wins = Callable[[Expr, Expr], Expr]


@dataclass(frozen=True)
class Axis:
    """[outer, n, inner] of elements of `dtype`; the buffer has `shape`."""

    shape: tuple[int, ...]
    outer: int
    n: int
    inner: int
    dtype: str

    def rows(self, f: Function, body: Callable[[Expr, Expr], None]) -> None:
        """Emit body(outer, inner) for every row."""
        count = self.outer * self.inner
        chunk = max(1, min(count, WORK // max(self.n, 1)))
        with f.parallel(-(-count // chunk), "task") as task:
            size = chunk if count % chunk == 0 else tirx.min(chunk, count - task * chunk)
            with f.serial(size, "row") as row:
                number = task * chunk + row
                body(number // self.inner, number % self.inner)

    def at(self, buffer: Buffer, outer: Expr, i: Expr, inner: Expr, n: int = 0) -> tuple[Expr, ...]:
        """The index of element i of a row in a buffer whose rows have n (else self.n) elements."""
        offset = (outer * (n or self.n) + i) * self.inner + inner
        return (*[0] * (len(buffer.shape) - 1), offset)


def beats(largest: bool, dtype: str) -> Wins:
    """Whether a comes before b strictly: it is larger (or smaller), or the first NaN."""

    def wins(a: Expr, b: Expr) -> Expr:
        better = a > b if largest else a < b
        if not dtype.startswith("float"):
            return better
        return tirx.Or(better, tirx.And(tirx.isnan(a), tirx.Not(tirx.isnan(b))))

    return wins


def extreme(name: str, axis: Axis, out: tuple[int, ...], wins: Wins, last: bool) -> PrimFunc:
    """Positions (int64) of the first or last element that wins over all others."""
    f = Function(name)
    x = f.argument("x", axis.shape, axis.dtype)
    result = f.argument("out", out, "int64")

    def row(outer: Expr, inner: Expr) -> None:
        best = f.local("best", (1,), axis.dtype)
        place = f.local("place", (1,), "int64")
        f.store(best, load(x, axis.at(x, outer, 0, inner)), (0,))
        f.store(place, tirx.const(0, "int64"), (0,))
        with f.serial(axis.n, "i") as i:
            value, held = load(x, axis.at(x, outer, i, inner)), load(best, (0,))
            taken = tirx.Not(wins(held, value)) if last else wins(value, held)
            with f.when(taken):
                f.store(place, i.astype("int64"), (0,))
                f.store(best, value, (0,))
        f.store(result, load(place, (0,)), axis.at(result, outer, 0, inner, 1))

    axis.rows(f, row)
    return f.build()


def running_sum(name: str, axis: Axis, exclusive: bool, reverse: bool) -> PrimFunc:
    """Sums of the elements up to each, or before each, from the start or from the end."""
    f = Function(name)
    x = f.argument("x", axis.shape, axis.dtype)
    out = f.argument("out", axis.shape, axis.dtype)
    carrier = "float32" if axis.dtype == "float16" else axis.dtype

    def row(outer: Expr, inner: Expr) -> None:
        total = f.local("total", (1,), carrier)
        f.store(total, tirx.const(0, carrier), (0,))
        with f.serial(axis.n, "i") as step:
            i = axis.n - 1 - step if reverse else step
            place = axis.at(x, outer, i, inner)
            if exclusive:
                f.store(out, load(total, (0,)).astype(axis.dtype), place)
            f.store(total, load(total, (0,)) + load(x, place).astype(carrier), (0,))
            if not exclusive:
                f.store(out, load(total, (0,)).astype(axis.dtype), place)

    axis.rows(f, row)
    return f.build()


def top(name: str, axis: Axis, k: int, out: tuple[int, ...], wins: Wins) -> PrimFunc:
    """The k elements that come first, in order, and their positions (insertion into a run)."""
    f = Function(name)
    x = f.argument("x", axis.shape, axis.dtype)
    values = f.argument("values", out, axis.dtype)
    places = f.argument("places", out, "int64")

    def row(outer: Expr, inner: Expr) -> None:
        hole = f.local("hole", (1,), "int32")

        def put(i: Expr, value: Expr, place: Expr) -> None:
            f.store(values, value, axis.at(values, outer, i, inner, k))
            f.store(places, place, axis.at(places, outer, i, inner, k))

        with f.serial(axis.n, "i") as i:
            new = load(x, axis.at(x, outer, i, inner))
            held = tirx.min(i, k)
            f.store(hole, held, (0,))
            # Elements that the new one beats move down by one, the last of k is dropped.
            with f.serial(held, "j") as j:
                above = held - 1 - j
                old = load(values, axis.at(values, outer, above, inner, k))
                with f.when(wins(new, old)):
                    f.store(hole, above, (0,))
                    with f.when(above + 1 < k):
                        put(above + 1, old, load(places, axis.at(places, outer, above, inner, k)))
            with f.when(load(hole, (0,)) < k):
                put(load(hole, (0,)), new, i.astype("int64"))

    axis.rows(f, row)
    return f.build()
