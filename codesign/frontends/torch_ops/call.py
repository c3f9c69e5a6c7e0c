"""One call of an aten op while it is imported: its arguments by name and what it emits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from codesign.errors import UnsupportedModelError
from codesign.ir.builder import Builder
from codesign.ir.dtype import DType
from codesign.ir.op import Op
from codesign.ir.ops.cast import Cast
from codesign.ir.types import TensorType

_DTYPES = {
    torch.bool: DType.BOOL,
    torch.uint8: DType.U8,
    torch.uint16: DType.U16,
    torch.uint32: DType.U32,
    torch.uint64: DType.U64,
    torch.int8: DType.I8,
    torch.int16: DType.I16,
    torch.int32: DType.I32,
    torch.int64: DType.I64,
    torch.float16: DType.F16,
    torch.float32: DType.F32,
    torch.float64: DType.F64,
}


@dataclass(eq=False)
class Known:
    """A tensor whose content is known: a parameter, a buffer, or what was folded from them.

    A `weight` stays a constant of its own under `name`; others may be computed with at import.
    """

    tensor: Tensor
    name: str
    weight: bool = False
    value: str = ""  # the constant in the graph, once something uses it


Value = str | Known
Result = Value | None | tuple["Result", ...]


def ir_dtype(dtype: torch.dtype, what: str) -> DType:
    """The IR's element type; UnsupportedModelError names `what` if there is none."""
    if dtype not in _DTYPES:
        known = ", ".join(str(d) for d in _DTYPES)
        raise UnsupportedModelError(f"{what} has element type {dtype}; supported: {known}")
    return _DTYPES[dtype]


def tensor_type(fake: Any, what: str) -> TensorType:
    """The type of a traced tensor; UnsupportedModelError if an extent is not fixed."""
    if any(not isinstance(extent, int) for extent in fake.shape):
        raise UnsupportedModelError(
            f"{what} has shape {list(fake.shape)}, which is not fixed; give example inputs or an "
            "input shape to fix it"
        )
    return TensorType(tuple(fake.shape), ir_dtype(fake.dtype, what))


@dataclass(eq=False)
class Call:
    """A node of the traced program: arguments by their schema's names, and a builder to emit to."""

    node: fx.Node
    builder: Builder
    name: str  # base of the names of what is emitted
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """The op with its overload, as `aten.add.Tensor`."""
        return str(self.node.target)

    def refuse(self, why: str) -> UnsupportedModelError:
        """The error that names this op, where it stands and `why` it cannot be imported."""
        return UnsupportedModelError(f"{self.target} {why} ({where(self.node)})")

    # arguments

    def get(self, name: str, default: Any = None) -> Any:
        """Argument `name` as it is."""
        return self.arguments.get(name, default)

    def given(self, name: str) -> bool:
        """Whether argument `name` is there and not None."""
        return self.arguments.get(name) is not None

    def integers(self, name: str, count: int = 0) -> tuple[int, ...]:
        """A list of ints; one int stands for `count` of them."""
        found = self.arguments[name]
        many = tuple(found) if isinstance(found, (list, tuple)) else (found,)
        return many * count if len(many) == 1 and count else many

    def value(self, name: str = "self") -> str:
        """The value of tensor argument `name`; `self` is called `input` in some schemas."""
        if name not in self.arguments and name == "self":
            name = "input"
        return self.as_value(self.arguments[name])

    def optional(self, name: str) -> str | None:
        """The value of tensor argument `name`, or None where it is absent."""
        return self.value(name) if self.given(name) else None

    def known(self, name: str) -> Tensor | None:
        """The content of tensor argument `name` if it is known."""
        found = self.arguments.get(name)
        return found.tensor if isinstance(found, Known) else None

    def weight(self, name: str) -> Known:
        """Tensor argument `name`, which must be known."""
        found = self.arguments.get(name)
        if not isinstance(found, Known):
            raise self.refuse(f"needs a constant {name}")
        return found

    def type(self, name: str = "self") -> TensorType:
        """Type of tensor argument `name`."""
        return self.builder.types[self.value(name)]

    def axis(self, name: str, rank: int) -> int:
        """Argument `name` as a position in 0..rank-1."""
        axis: int = self.arguments[name]
        return axis % max(rank, 1)

    def axes(self, name: str, rank: int) -> tuple[int, ...]:
        """Argument `name` as ascending positions; absent or empty means all axes."""
        found = self.arguments.get(name)
        if found is None or found == []:
            return tuple(range(rank))
        many = found if isinstance(found, (list, tuple)) else [found]
        return tuple(sorted(axis % max(rank, 1) for axis in many)) if rank else ()

    # results

    @property
    def result(self) -> TensorType:
        """The type that torch gives the (first) result."""
        fake = self.node.meta["val"]
        first = fake[0] if isinstance(fake, (list, tuple)) else fake
        return tensor_type(first, self.name)

    def as_value(self, found: Any) -> str:
        """A value in the graph for a resolved argument; constants enter when first used."""
        if isinstance(found, str):
            return found
        if isinstance(found, Known):
            if not found.value:
                found.value = self.constant(found.tensor, found.name)
            return found.value
        raise self.refuse(f"is given {found!r} where a tensor is expected")

    def constant(self, content: Tensor | np.ndarray, name: str = "") -> str:
        """A constant of the graph with this content."""
        label = name or f"{self.name}.constant"
        if isinstance(content, np.ndarray):
            return self.builder.constant(content, label)
        dtype = ir_dtype(content.dtype, label)
        array = content.detach().cpu().contiguous().numpy()
        return self.builder.constant(np.array(array, dtype.numpy, copy=True), label)

    def scalar(self, number: float, dtype: DType, name: str = "") -> str:
        """A constant with one element and no axes."""
        return self.constant(np.array(number, dtype.numpy), f"{self.name}.{name or 'scalar'}")

    def number(self, name: str, dtype: DType) -> str:
        """Argument `name`, a tensor or a number, as a value of element type `dtype`."""
        found = self.arguments[name]
        if isinstance(found, (bool, int, float)):
            return self.scalar(found, dtype, name)
        return self.cast(self.as_value(found), dtype)

    def emit(self, op: Op, *inputs: str | None, part: str = "") -> str:
        """Apply `op`; returns its first result, named after this call (and `part` of it)."""
        return self.emits(op, *inputs, part=part)[0]

    def emits(self, op: Op, *inputs: str | None, part: str = "") -> tuple[str, ...]:
        """Apply `op`; returns all its results."""
        name = f"{self.name}.{part}" if part else self.name
        return self.builder.results(op, *inputs, names=[name])

    def cast(self, value: str, dtype: DType) -> str:
        """`value` as elements of `dtype`."""
        if self.builder.types[value].dtype is dtype:
            return value
        return self.emit(Cast(str(dtype)), value, part="cast")

    def shape(self, value: str) -> tuple[int, ...]:
        """Shape of a value of the graph."""
        return self.builder.types[value].shape


def where(node: fx.Node) -> str:
    """Module path and source line of a traced node, for messages."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((str(entry[0]) for entry in reversed(list(stack.values()))), "")
    lines = [line.strip() for line in (node.stack_trace or "").splitlines() if line.strip()]
    source = next((line for line in reversed(lines) if line.startswith("File ")), "")
    found = [f"module {path}" if path else "", source, f"node {node.name}"]
    return ", ".join(text for text in found if text)


def unpack(values: Sequence[str]) -> Result:
    """Results as what a node with several of them returns."""
    return tuple(values)
