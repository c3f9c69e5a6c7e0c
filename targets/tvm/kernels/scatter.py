"""Writing elements at positions that are data: the rest is copied first, then updates in order."""

from collections.abc import Callable
from math import prod

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel, walk
from codesign.targets.tvm.kernels.remap import lanes_of
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load

Described = tuple[tuple[int, ...], str]
COMBINE: dict[str, Callable[[Expr, Expr], Expr]] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": lambda old, new: tirx.max(old, new),
    "min": lambda old, new: tirx.min(old, new),
}


def emit(
    name: str,
    x: Described,
    indices: Described,
    updates: Described,
    reduction: str,
    place: Callable[[Buffer, tuple[Expr, ...]], tuple[Expr, ...]],
    isa: Isa,
) -> PrimFunc:
    """x with update u written at place(indices, u), for every index u of `updates`."""
    f = Function(name)
    source = f.argument("x", *x)
    where = f.argument("indices", *indices)
    new = f.argument("updates", *updates)
    out = f.argument("out", *x)
    shape = x[0]

    def copy(index: tuple[Expr, ...]) -> None:
        f.store(out, load(source, index), index)

    walk(f, shape, [list(range(len(shape)))], lanes_of(x[1], isa), copy)
    with f.serial(prod(updates[0]), "u") as u:
        index = unravel(u, updates[0])
        target = place(where, index)
        value = COMBINE[reduction](load(out, target), load(new, index))
        f.store(out, value, target)
    return f.build()
