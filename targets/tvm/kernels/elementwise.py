"""Loops over a buffer whose body is an epilogue: vectorized along the last axis, parallel.

Neighbouring axes that every operand either follows or broadcasts over are walked as one, so that an
addition of equal shapes is one long loop and a scale a channel has only the loops it needs.
"""

from math import prod
from typing import Any

from tvm import tirx

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.tir import Function, PrimFunc

CHUNK = 4096  # elements a task should have at least
TASKS = 16  # tasks worth having

Expr = Any
Index = tuple[Expr, ...]


def emit(name: str, shape: tuple[int, ...], isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """out[i] = epilogue(i) for every index i of a buffer of `shape`; operands come first."""
    f = Function(name)
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", shape, epilogue.out_dtype)
    walk(
        f,
        shape,
        merged(shape, epilogue),
        isa.f32_lanes,
        lambda index: f.store(out, epilogue.apply(None, index, operands), index),
    )
    return f.build()


def merged(shape: tuple[int, ...], epilogue: Epilogue) -> list[list[int]]:
    """The axes of `shape` in runs that are walked as one."""
    runs: list[list[int]] = []
    last: tuple[int, ...] | None = None
    for axis, extent in enumerate(shape):
        signature = tuple(o.varies[axis] if o.varies else 1 for o in epilogue.operands)
        if extent == 1 and runs:
            runs[-1].append(axis)
        elif runs and (signature == last or all(shape[a] == 1 for a in runs[-1])):
            runs[-1].append(axis)
            last = signature
        else:
            runs.append([axis])
            last = signature
    return runs


def walk(f: Function, shape: tuple[int, ...], runs: list[list[int]], lanes: int, body: Any) -> None:
    """Emit loops over `shape`, run by run, around body(index)."""
    extents = [prod(shape[a] for a in run) for run in runs]
    if 0 in extents:
        return
    if len(runs) == 1:
        _flat(f, shape, extents[0], lanes, body)
        return
    outer = 1
    while outer < len(runs) - 1 and prod(extents[:outer]) < TASKS:
        outer += 1
    count, inner = prod(extents[:outer]), prod(extents[outer:])
    chunk = max(1, min(count, CHUNK // inner))
    with f.parallel(-(-count // chunk), "task") as task:
        size = chunk if count % chunk == 0 else tirx.min(chunk, count - task * chunk)
        with f.serial(size, "row") as row:
            found = list(unravel(task * chunk + row, tuple(extents[:outer])))
            _inner(f, shape, runs, extents, found, lanes, body)


def _inner(
    f: Function,
    shape: tuple[int, ...],
    runs: list[list[int]],
    extents: list[int],
    found: list[Expr],
    lanes: int,
    body: Any,
) -> None:
    """Loops over the runs that `found` does not cover yet."""
    if len(found) < len(runs) - 1:
        with f.serial(extents[len(found)], "i") as i:
            _inner(f, shape, runs, extents, [*found, i], lanes, body)
        return

    def at(last: Expr) -> None:
        places = [*found, last]
        index: list[Expr] = [0] * len(shape)
        for run, place in zip(runs, places, strict=True):
            for axis, value in zip(run, unravel(place, [shape[a] for a in run]), strict=True):
                index[axis] = value
        body(tuple(index))

    vectors(f, 0, extents[-1], lanes, at)


def _flat(f: Function, shape: tuple[int, ...], size: int, lanes: int, body: Any) -> None:
    """One loop over all elements, cut into tasks of whole vectors."""
    chunk = min(max(CHUNK, -(-size // 64)), size) // lanes * lanes
    tasks = size // chunk if chunk else 0
    with f.parallel(tasks, "task") as task:
        if tasks:
            vectors(f, task * chunk, chunk, lanes, lambda i: body(unravel(i, shape)))
    rest = size - tasks * chunk
    if rest:
        vectors(f, tasks * chunk, rest, lanes, lambda i: body(unravel(i, shape)))


def vectors(f: Function, start: Expr, size: int, lanes: int, body: Any) -> None:
    """body(i) for i in [start, start + size): whole vectors first, then one by one."""
    if lanes == 1:
        with f.serial(size, "i") as i:
            body(start + i)
        return
    whole = size // lanes
    if whole:
        with f.serial(whole, "vector") as vector, f.vectorized(lanes) as lane:
            body(start + vector * lanes + lane)
    if size % lanes:
        with f.serial(size % lanes, "tail") as tail:
            body(start + whole * lanes + tail)


def unravel(flat: Expr, shape: tuple[int, ...] | list[int]) -> Index:
    """The index into `shape` of element number `flat`."""
    index: list[Expr] = []
    left = prod(shape)
    for extent in reversed(shape):
        left //= max(extent, 1)
        index.append(0 if extent == 1 else flat % extent if left > 1 else flat)
        flat = flat if extent == 1 else flat // extent
    return tuple(reversed(index))
