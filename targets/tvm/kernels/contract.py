"""Any multiply-accumulate nest, straight from its bounds and accesses: slow, general, parallel.

An axis of the result is a loop, or several as digits; an axis of an operand is a sum of loops. An
element that an access would read outside its operand is padding and counts as zero.
"""

from dataclasses import dataclass
from math import prod

from tvm import tirx

from codesign.ir.loops import Access, LoopNest, Projection
from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import unravel, walk
from codesign.targets.tvm.kernels.fold import Fold
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load


@dataclass(frozen=True)
class Contraction:
    """A nest over operands of `shapes` and element type `dtype`; accesses name them by number."""

    nest: LoopNest
    shapes: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]
    dtype: str

    @property
    def result(self) -> Access:
        """How the result is indexed."""
        return next(a for a in self.nest.accesses if a.operand == -1)

    @property
    def reduced(self) -> tuple[tuple[str, int], ...]:
        """The loops that the result lacks, with their bounds."""
        return tuple(b for b in self.nest.bounds if b[0] not in self.result.loops)

    def loops(self, index: tuple[Expr, ...]) -> dict[str, Expr]:
        """The loops that an index of the result stands for."""
        found: dict[str, Expr] = {}
        for (terms, _), i in zip(self.result.axes, index, strict=False):
            names = [name for name, _ in terms]
            extents = tuple(self.nest.bound(name) for name in names)
            found |= dict(zip(names, unravel(i, extents), strict=True))
        return found


def accepts(nest: LoopNest) -> bool:
    """Whether every axis of the result is made of loops of its own, the last one fastest."""
    axes = next(a for a in nest.accesses if a.operand == -1).axes
    names = [name for terms, _ in axes for name, _ in terms]
    return len(names) == len(set(names)) and all(
        offset == 0 and _mixed_radix(terms, nest) for terms, offset in axes
    )


def _mixed_radix(terms: tuple[tuple[str, int], ...], nest: LoopNest) -> bool:
    """Whether terms are the digits of a number: each coefficient the product of what follows."""
    step = 1
    for name, coefficient in reversed(terms):
        if coefficient != step:
            return False
        step *= nest.bound(name)
    return True


def emit(name: str, c: Contraction, isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """The kernel: buffers are the operands, the epilogue's operands, the result."""
    f = Function(name)
    data = [f.argument(f"x{i}", s or (1,), c.dtype) for i, s in enumerate(c.shapes)]
    operands = tuple(f.argument(o.name, o.shape, o.dtype) for o in epilogue.operands)
    out = f.argument("out", c.out or (1,), epilogue.out_dtype)
    carrier = Fold.carrier(c.dtype)
    shape = c.out or (1,)

    def body(index: tuple[Expr, ...]) -> None:
        acc = f.local("acc", (1,), carrier)
        f.store(acc, tirx.const(0, carrier), (0,))
        _reduce(f, c, data, c.loops(index), acc, carrier)
        f.store(out, epilogue.apply(load(acc, (0,)), index, operands), index)

    walk(f, shape, [[axis] for axis in range(len(shape))], 1, body)
    return f.build()


def _reduce(
    f: Function,
    c: Contraction,
    data: list[Buffer],
    loops: dict[str, Expr],
    acc: Buffer,
    carrier: str,
) -> None:
    """Add all products of one element of the result, of which there may be none."""
    if not all(bound for _, bound in c.reduced):
        return
    names = [name for name, _ in c.reduced]
    extents = tuple(bound for _, bound in c.reduced)
    with f.serial(prod(extents), "k") as k:
        where = {**loops, **dict(zip(names, unravel(k, extents), strict=True))}
        factors, inside = [], []
        for access in c.nest.accesses:
            if access.operand < 0:
                continue
            shape = c.shapes[access.operand]
            index = [_place(axis, where) for axis in access.axes] or [0]
            inside += _guards(access, index, shape, dict(c.nest.bounds))
            factors.append(load(data[access.operand], index).astype(carrier))
        value = load(acc, (0,)) + _product(factors)
        if inside:
            with f.when(tirx.all(*inside)):
                f.store(acc, value, (0,))
        else:
            f.store(acc, value, (0,))


def _product(factors: list[Expr]) -> Expr:
    total = factors[0]
    for factor in factors[1:]:
        total = total * factor
    return total


def _place(axis: Projection, where: dict[str, Expr]) -> Expr:
    terms, offset = axis
    index: Expr = offset
    for name, coefficient in terms:
        index = index + where[name] * coefficient
    return index


def _guards(
    access: Access, index: list[Expr], shape: tuple[int, ...], bounds: dict[str, int]
) -> list[Expr]:
    """Conditions for an index to lie inside its operand, where it might not."""
    found = []
    for (terms, offset), i, extent in zip(access.axes, index, shape, strict=False):
        highest = offset + sum(c * (bounds[name] - 1) for name, c in terms)
        if offset < 0:
            found.append(i >= 0)
        if highest >= extent:
            found.append(i < extent)
    return found
