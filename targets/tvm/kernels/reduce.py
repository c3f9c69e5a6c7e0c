"""Reductions over any axes of a buffer, in one pass, vectorized along its last axis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels import elementwise
from codesign.targets.tvm.kernels.elementwise import unravel
from codesign.targets.tvm.kernels.fold import Fold
from codesign.targets.tvm.kernels.rows import Row
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load

Finish = Callable[[Expr, tuple[Expr, ...]], None]
WORK = 8192  # elements a task should reduce


@dataclass(frozen=True)
class Reduction:
    """`fold` over `axes` of a buffer of `shape`; `places` are the result's axes.

    For each axis of the result's buffer `places` names the operand's axes that it joins: none for
    an extent of 1. All axes that are kept must be named, in order.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]
    dtype: str
    fold: Fold

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that are not reduced."""
        return tuple(i for i in range(len(self.shape)) if i not in self.axes)

    @property
    def count(self) -> int:
        """Elements that become one."""
        return prod(self.shape[i] for i in self.axes)


def emit(name: str, r: Reduction, isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are x, the epilogue's operands, the result."""
    if not r.count:
        return _of_nothing(name, r, isa, epilogue)
    f = Function(name)
    x = f.argument("x", r.shape, r.dtype)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    extents = tuple(prod(r.shape[axis] for axis in place) for place in r.places)
    out = f.argument("out", extents, epilogue.out_dtype)
    work = _Work(f, r, isa.f32_lanes, x)

    def finish(acc: Expr, kept: tuple[Expr, ...]) -> None:
        where = dict(zip(r.kept, kept, strict=True))
        index = tuple(_joined(where, place, r.shape) for place in r.places)
        f.store(out, epilogue.apply(r.fold.leave(acc, r.count), index, operands), index)

    if not r.kept or r.kept[-1] != len(r.shape) - 1 or r.shape[-1] == 1:
        work.along(finish)
    else:
        work.across(finish)
    return f.build()


def _of_nothing(name: str, r: Reduction, isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """The fold's start everywhere; there is no operand to read."""
    start = r.fold.leave(r.fold.start(Fold.carrier(r.dtype)), r.count)
    extents = tuple(prod(r.shape[axis] for axis in place) for place in r.places)
    filled = replace(epilogue, apply=lambda _, i, b: epilogue.apply(start, i, b))
    return elementwise.emit(name, extents, isa, filled)


def _joined(where: dict[int, Expr], place: tuple[int, ...], shape: tuple[int, ...]) -> Expr:
    """The index along axes of `shape` that are one axis of the result."""
    index: Expr = 0
    for axis in place:
        index = where[axis] if len(place) == 1 else index * shape[axis] + where[axis]
    return index


@dataclass(frozen=True)
class _Work:
    f: Function
    r: Reduction
    lanes: int
    x: Buffer

    def element(self, kept: tuple[Expr, ...], reduced: tuple[Expr, ...]) -> Expr:
        """One element of x in the fold's type."""
        where = dict(zip(self.r.kept, kept, strict=True))
        where |= zip(self.r.axes, reduced, strict=True)
        value = load(self.x, tuple(where[i] for i in range(len(self.r.shape))))
        return value.astype(Fold.carrier(self.r.dtype))

    def across(self, finish: Finish) -> None:
        """Vectors along the last axis, which is kept: one fold a lane."""
        f, r = self.f, self.r
        extents = [r.shape[i] for i in r.kept]
        inner, outer = extents[-1], extents[:-1]
        width = self.lanes if inner >= self.lanes else 1
        blocks = -(-inner // width)
        chunk = max(1, min(prod(outer) * blocks, WORK // max(1, r.count * width)))
        count = prod(outer) * blocks
        with f.parallel(-(-count // chunk), "task") as task:
            size = chunk if count % chunk == 0 else tirx.min(chunk, count - task * chunk)
            with f.serial(size, "block") as block:
                number = task * chunk + block
                # The last block starts early instead of being short.
                start = tirx.min(number % blocks * width, inner - width)
                self._block(unravel(number // blocks, outer), start, width, finish)

    def _block(self, outer: tuple[Expr, ...], start: Expr, width: int, finish: Finish) -> None:
        f, r = self.f, self.r
        dtype = Fold.carrier(r.dtype)
        acc = f.local("acc", (width,), dtype)
        with f.vectorized(width) as lane:
            f.store(acc, r.fold.start(dtype), (lane,))
        with f.serial(r.count, "i") as i:
            reduced = unravel(i, [r.shape[a] for a in r.axes])
            with f.vectorized(width) as lane:
                x = self.element((*outer, start + lane), reduced)
                f.store(acc, r.fold.step(load(acc, (lane,)), x), (lane,))
        with f.vectorized(width) as lane:
            finish(load(acc, (lane,)), (*outer, start + lane))

    def along(self, finish: Finish) -> None:
        """Vectors along the last axis, which is reduced, or the only one there is."""
        f, r = self.f, self.r
        extents = [r.shape[i] for i in r.kept]
        run = _tail(r)
        count, inner = prod(extents), prod(r.shape[a] for a in run)
        others = [a for a in r.axes if a not in run]
        dtype = Fold.carrier(r.dtype)
        chunk = max(1, min(count, WORK // max(1, r.count)))
        with f.parallel(-(-count // chunk), "task") as task:
            size = chunk if count % chunk == 0 else tirx.min(chunk, count - task * chunk)
            with f.serial(size, "row") as number:
                kept = unravel(task * chunk + number, extents)
                held = f.local("held", (1,), dtype)
                f.store(held, r.fold.start(dtype), (0,))
                with f.serial(prod(r.shape[a] for a in others), "j") as j:
                    outer = unravel(j, [r.shape[a] for a in others])
                    row = Row(f, inner, 0, 1, 1, self.lanes)
                    part = row.fold(
                        r.fold,
                        dtype,
                        lambda i, _: self.element(
                            kept, (*outer, *unravel(i, [r.shape[a] for a in run]))
                        ),
                    )
                    f.store(held, r.fold.merge(load(held, (0,)), part(0)), (0,))
                finish(load(held, (0,)), kept)


def _tail(r: Reduction) -> list[int]:
    """The reduced axes at the end of the shape, which lie together in memory."""
    run: list[int] = []
    for axis in reversed(range(len(r.shape))):
        if axis not in r.axes:
            break
        run.insert(0, axis)
    return run
