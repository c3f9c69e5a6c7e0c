"""The chain behind an anchor as an epilogue: operands are collected, then expressions made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.graph import Node
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.emitted import Argument
from codesign.targets.tvm.epilogue import Epilogue, Operand
from codesign.targets.tvm.scalar import MOST_NESTING, NESTING, SCALAR, UNSAFE, dtype_of, lowered
from codesign.targets.tvm.storage import aligned, physical_dtype, physical_shape, tile_constant
from codesign.targets.tvm.tir import load

Expr = Any


@dataclass(frozen=True)
class Env:
    """Where an expression of the chain is evaluated: accumulator, output index, buffers."""

    acc: Expr
    index: tuple[Expr, ...]
    buffers: tuple[Any, ...]


Value = Callable[[Env], Expr]


@dataclass
class Chain:
    """Lowers the nodes of a group after its anchor to one expression of the stored element.

    `group` must have been accepted by `refuse_chain`. `start` is the anchor's value in terms of the
    accumulator; it is there for anchors whose result needs more than the bare accumulator.
    """

    group: Group
    operands: list[Operand] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    @property
    def out(self) -> TensorType:
        """Type of the stored result."""
        return self.group.output_type

    def epilogue(self, start: Value | None) -> Epilogue:
        """The epilogue whose anchor value is `start`; without it the anchor is lowered as well."""
        from codesign.targets.tvm.integer import lower_integer, narrowed

        if start is not None:
            self.values[self.group.anchor.outputs[0]] = start
        for node in self.group.nodes if start is None else self.group.chain:
            inputs = [self.value(v) for v in node.operands]
            self.values[node.outputs[0]] = (
                lower_integer(self, node, inputs) if self.encoded(node) else _lower(node, inputs)
            )
        final = self._finite(self.values[self.group.outputs[0]])
        if self.out.grid is not None:
            final = narrowed(final, self.out.grid)
        rank = self.out.rank + (self.out.layout is not None)
        return Epilogue(
            tuple(self.operands),
            physical_dtype(self.out),
            lambda acc, index, buffers: final(Env(acc, tuple(index)[:rank], tuple(buffers))),
        )

    def _finite(self, value: Value) -> Value:
        """`value`, with 0 for the elements that pad a tile if an op could make them infinite."""
        layout = self.out.layout
        unsafe = any(node.kind in UNSAFE for node in self.group.nodes)
        if layout is None or not unsafe or self.out.shape[layout.axis] % layout.tile == 0:
            return value
        from tvm import tirx

        def masked(env: Env) -> Expr:
            channel = env.index[layout.axis] * layout.tile + env.index[-1]
            full = value(env)
            zero = tirx.const(0, dtype_of(full))
            return tirx.Select(channel < self.out.shape[layout.axis], full, zero)

        return masked

    def encoded(self, node: Node) -> bool:
        """True if any value of `node` is stored as integers."""
        values = [v for v in (*node.operands, *node.outputs) if v not in self.group.graph.constants]
        return any(self.group.type(v).grid is not None for v in values)

    def value(self, name: str) -> Value:
        """The value called `name`: of the chain, or loaded from an operand."""
        if name not in self.values:
            const = self.group.graph.constants.get(name)
            self.values[name] = self.operand(name) if const is None else self.constant(const.array)
        return self.values[name]

    def operand(self, name: str) -> Value:
        """An operand that is computed at run time: float, or codes widened to int32."""
        from codesign.targets.tvm.integer import int32

        value = self.variable(name)
        coded = self.group.type(name).grid is not None
        return (lambda env: int32(value(env))) if coded else value

    def constant(self, array: np.ndarray) -> Value:
        """A broadcast constant: an immediate if it is one number, else an operand."""
        if array.size == 1:
            scalar = array.reshape(-1)[0]
            return lambda env: _immediate(scalar)
        content = tile_constant(array, self.out.rank, self.out.layout)
        logical = aligned(array.shape, self.out.rank)
        tiled = self.out.layout is not None and logical[self.out.layout.axis] != 1
        slot = self._slot(content, content.shape, content.dtype.name, logical)
        return lambda env: load(env.buffers[slot], self._index(env.index, logical, tiled))

    def channels(self, array: np.ndarray, axis: int) -> Value:
        """A vector along `axis` of the result (a bias, scales), broadcast over the others."""
        shape = [1] * self.out.rank
        shape[axis] = array.size
        return self.constant(array.reshape(shape))

    def along(self, name: str, axis: int) -> Value:
        """The value of one axis called `name`, laid along `axis` of the result."""
        const = self.group.graph.constants.get(name)
        if const is not None:
            return self.channels(const.array, axis)
        kind = self.group.type(name)
        shape = tuple(kind.size if i == axis else 1 for i in range(self.out.rank))
        laid = TensorType(shape, kind.dtype)
        slot = self._slot(name, physical_shape(kind), physical_dtype(kind), shape, False)
        return lambda env: load(env.buffers[slot], (self._converted(env.index, laid)[axis],))

    def operand_slot(self, name: str) -> int:
        """An operand that is loaded at an index of the caller's making; every axis is walked."""
        const, kind = self.group.graph.constants.get(name), self.group.type(name)
        whole = (2,) * self.out.rank
        if const is None:
            return self._slot(name, physical_shape(kind), physical_dtype(kind), whole, False)
        array = np.ascontiguousarray(const.array).reshape(kind.shape or (1,))
        return self._slot(array, array.shape, array.dtype.name, whole, False)

    def table(self, array: np.ndarray, axis: int) -> int:
        """A constant [extent, ...] whose first index is the result's along `axis`."""
        logical = tuple(len(array) if i == axis else 1 for i in range(self.out.rank))
        return self._slot(array, array.shape, array.dtype.name, logical, False)

    def variable(self, name: str) -> Value:
        """An operand that is computed at run time, in its own layout."""
        kind = self.group.type(name)
        logical = aligned(kind.shape, self.out.rank)
        lost = self.out.rank - kind.rank
        same = kind.layout == self.out.layout
        slot = self._slot(name, physical_shape(kind), physical_dtype(kind), logical, same)
        if same:
            tiled = kind.layout is not None
            return lambda env: load(
                env.buffers[slot], self._index(env.index, logical, tiled)[lost:] or (0,)
            )
        return lambda env: load(env.buffers[slot], self._converted(env.index, kind)[lost:] or (0,))

    def _converted(self, index: tuple[Expr, ...], kind: TensorType) -> tuple[Expr, ...]:
        """The index into an operand in another layout than the result's."""
        mine, other = self.out.layout, kind.layout
        plain = list(index)
        if mine is not None:
            *plain, inner = index
            plain[mine.axis] = plain[mine.axis] * mine.tile + inner
        logical = aligned(kind.shape, self.out.rank)
        plain = [0 if extent == 1 else i for i, extent in zip(plain, logical, strict=True)]
        if mine is not None and logical[mine.axis] % mine.tile:
            from tvm import tirx

            plain[mine.axis] = tirx.min(plain[mine.axis], logical[mine.axis] - 1)
        if other is None:
            return tuple(plain)
        axis = other.axis + self.out.rank - kind.rank
        channel = plain[axis]
        plain[axis] = channel // other.tile
        return (*plain, channel % other.tile)

    def _slot(
        self,
        argument: Argument,
        shape: tuple[int, ...],
        dtype: str,
        logical: tuple[int, ...],
        walkable: bool = True,
    ) -> int:
        """Add an operand; `walkable` if neighbouring axes of the result may be walked as one."""
        varies: tuple[int, ...] = tuple(int(extent != 1) for extent in logical)
        if self.out.layout is not None:
            varies = (*varies, varies[self.out.layout.axis])
        if not walkable:
            varies = tuple(2 + axis if v else 0 for axis, v in enumerate(varies))
        self.arguments.append(argument)
        self.operands.append(Operand(f"operand{len(self.operands)}", shape, dtype, varies))
        return len(self.operands) - 1

    def _index(
        self, index: tuple[Expr, ...], logical: tuple[int, ...], tiled: bool
    ) -> tuple[Expr, ...]:
        """The index into an operand of `logical` shape from the index into the result."""
        layout = self.out.layout
        outer = index if layout is None else index[:-1]
        found = [0 if extent == 1 else i for i, extent in zip(outer, logical, strict=True)]
        if not tiled:
            return tuple(found)
        assert layout is not None
        return (*found, 0 if logical[layout.axis] == 1 else index[-1])


def _lower(node: Node, inputs: list[Value]) -> Value:
    return lambda env: lowered(node.op, [value(env) for value in inputs])


def _immediate(scalar: np.generic) -> Expr:
    from tvm import tirx

    return tirx.const(scalar.item(), scalar.dtype.name)


def refuse_chain(group: Group, with_anchor: bool = False) -> Refusal | None:
    """None if every node behind the anchor can be lowered into its epilogue."""
    out = group.output_type
    if out.shape != group.anchor_type.shape:
        return Refusal("a fused chain keeps the anchor's shape", f"it ends in {out}")
    nodes = group.nodes if with_anchor else group.chain
    if sum(NESTING.get(node.kind, 0) for node in nodes) > MOST_NESTING:
        kinds = ", ".join(node.kind for node in nodes if node.kind in NESTING)
        return Refusal("a chain compiles in seconds", f"{kinds} nest too deeply")
    for node in nodes:
        if node.kind not in SCALAR:
            return Refusal("fused ops have a scalar form", f"{node.kind} has none")
        for value in node.operands:
            kind = group.type(value)
            if value in group.graph.constants and kind.integer is None:
                continue
            if kind.layout is not None and kind.layout.packed:
                return Refusal("fused operands have a byte for each code", f"%{value} is {kind}")
            if kind.rank > out.rank:
                return Refusal("fused operands broadcast to the result", f"%{value} is {kind}")
            if with_anchor or kind.integer is None or value == group.anchor.outputs[0]:
                continue
            if kind.integer.width == ACCUMULATOR_BITS and value in group.variables:
                return Refusal("32-bit accumulators stay in registers", f"%{value} is {kind}")
    return None
