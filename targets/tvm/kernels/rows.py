"""Rows: a tensor seen as [outer, n, inner], each of its rows of n elements handled as a whole.

With inner = 1 a row is contiguous: vectors run along it, and several of them are folded at once to
hide the latency of an operation. Otherwise vectors run across rows: one lane, one row.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from codesign.targets.tvm.kernels.fold import Fold
from codesign.targets.tvm.tir import Buffer, Expr, Function, load

UNROLL = 4  # vectors folded side by side
WORK = 4096  # elements a task should have

Value = Callable[[Expr, Expr], Expr]  # from an element's number in memory and its lane
Result = Callable[[Expr], Expr]  # from the lane to what the fold made


@dataclass(frozen=True)
class Rows:
    """The loops over all rows of [outer, n, inner] with vectors of `lanes`."""

    f: Function
    outer: int
    n: int
    inner: int
    lanes: int

    def each(self, body: Callable[["Row"], None]) -> None:
        """Emit body(row) for every row, or every vector of rows side by side."""
        if self.inner == 1:
            with self._tasks(self.outer, self.n) as number:
                body(Row(self.f, self.n, number * self.n, 1, 1, self.lanes))
            return
        whole, rest = divmod(self.inner, self.lanes)
        for width, count, first in ((self.lanes, whole, 0), (rest, int(rest > 0), whole)):
            if not count:
                continue
            with self._tasks(self.outer * count, self.n * width) as number:
                outer, block = number // count, number % count + first
                start = outer * (self.n * self.inner) + block * self.lanes
                body(Row(self.f, self.n, start, self.inner, width, self.lanes))

    @contextmanager
    def _tasks(self, count: int, work: int) -> Iterator[Expr]:
        """A parallel loop over `count` rows of `work` elements, several of them a task."""
        chunk = max(1, min(count, WORK // max(work, 1)))
        with self.f.parallel(-(-count // chunk), "task") as task:
            size = chunk if count % chunk == 0 else tirx.min(chunk, count - task * chunk)
            with self.f.serial(size, "row") as row:
                yield task * chunk + row


@dataclass(frozen=True)
class Row:
    """One row of n elements `step` apart from element `start` on, or `width` of them abreast."""

    f: Function
    n: int
    start: Expr
    step: int
    width: int
    lanes: int

    @property
    def along(self) -> bool:
        """True if vectors run along the row."""
        return self.step == 1

    def fold(self, fold: Fold, dtype: str, value: Value) -> Result:
        """The fold of value(position, lane) over the row, as a function of the lane."""
        return (
            self._fold_along(fold, dtype, value) if self.along else self._across(fold, dtype, value)
        )

    def _across(self, fold: Fold, dtype: str, value: Value) -> Result:
        acc = self.f.local("acc", (self.width,), dtype)
        with self.f.vectorized(self.width) as lane:
            self.f.store(acc, fold.start(dtype), (lane,))
        with self.f.serial(self.n, "i") as i, self.f.vectorized(self.width) as lane:
            x = value(self.start + i * self.step + lane, lane)
            self.f.store(acc, fold.step(load(acc, (lane,)), x), (lane,))
        return lambda lane: load(acc, (lane,))

    def _fold_along(self, fold: Fold, dtype: str, value: Value) -> Result:
        f, lanes = self.f, self.lanes
        total = f.local("total", (1,), dtype)
        f.store(total, fold.start(dtype), (0,))
        vectors = self.n // lanes
        unroll = min(UNROLL, vectors)
        if vectors:
            self._fold_vectors(fold, dtype, value, total, vectors, unroll)
        if self.n % lanes:
            with f.serial(self.n % lanes, "tail") as tail:
                x = value(self.start + vectors * lanes + tail, tail)
                f.store(total, fold.step(load(total, (0,)), x), (0,))
        return lambda lane: load(total, (0,))

    def _fold_vectors(
        self, fold: Fold, dtype: str, value: Value, total: Buffer, vectors: int, unroll: int
    ) -> None:
        f, lanes = self.f, self.lanes
        acc = f.registers("part", unroll, lanes, dtype)

        def step(number: int, vector: Expr) -> None:
            with f.vectorized(lanes) as lane:
                x = value(self.start + vector * lanes + lane, lane)
                y = fold.step(acc.element(number, lane), x)
                f.store(acc.buffers[number], y, (lane,))

        for number in range(unroll):
            with f.vectorized(lanes) as lane:
                f.store(acc.buffers[number], fold.start(dtype), (lane,))
        with f.serial(vectors // unroll, "block") as block:
            for number in range(unroll):
                step(number, block * unroll + number)
        for number in range(vectors % unroll):
            step(number, vectors // unroll * unroll + number)
        for number in range(1, unroll):
            with f.vectorized(lanes) as lane:
                both = fold.merge(acc.element(0, lane), acc.element(number, lane))
                f.store(acc.buffers[0], both, (lane,))
        self._halve(fold, acc.buffers[0], total)

    def _halve(self, fold: Fold, part: Buffer, total: Buffer) -> None:
        """Merge the lanes of `part` into `total`, pairwise."""
        width = self.lanes // 2
        while width:
            with self.f.vectorized(width) as lane:
                both = fold.merge(load(part, (lane,)), load(part, (lane + width,)))
                self.f.store(part, both, (lane,))
            width //= 2
        merged = fold.merge(load(total, (0,)), load(part, (0,)))
        self.f.store(total, merged, (0,))

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """body(position, lane) for every element, vectorized."""
        if not self.along:
            with self.f.serial(self.n, "i") as i, self.f.vectorized(self.width) as lane:
                body(self.start + i * self.step + lane, lane)
            return
        vectors = self.n // self.lanes
        if vectors:
            with self.f.serial(vectors, "vector") as vector, self.f.vectorized(self.lanes) as lane:
                body(self.start + vector * self.lanes + lane, lane)
        if self.n % self.lanes:
            with self.f.serial(self.n % self.lanes, "tail") as tail:
                body(self.start + vectors * self.lanes + tail, tail)


def keep(f: Function, name: str, row: Row, value: Any, dtype: str = "float32") -> Result:
    """The value (a function of the lane) computed once a row and kept."""
    width = 1 if row.along else row.width
    held = f.local(name, (width,), dtype)
    with f.vectorized(width) as lane:
        f.store(held, value(lane), (lane,))
    return lambda lane: load(held, (0,) if row.along else (lane,))
