"""One ONNX node as its converter sees it: inputs, attributes, and the ways to refuse."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto

from codesign.errors import InvalidModelError, UnsupportedModelError
from codesign.frontends.onnx.emit import Emitter
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.tensor import to_array
from codesign.frontends.onnx.value import Value
from codesign.ir.op import Op

A = AttributeProto
T = TypeVar("T")


class NotConstantError(UnsupportedModelError):
    """A value that must be known while importing depends on the graph inputs `sources`."""

    def __init__(self, message: str, sources: Sequence[str]) -> None:
        from_inputs = f" from graph input {', '.join(map(repr, sources))}" if sources else ""
        super().__init__(message.replace("{where}", f"computed{from_inputs} at run time", 1))
        self.sources = tuple(sources)


class Call:
    """A node with its inputs bound. Attributes that no converter asked for are refused."""

    def __init__(
        self,
        node: NodeProto,
        inputs: Sequence[Value | None],
        version: int,
        emit: Emitter,
        run: "Body | None" = None,
    ) -> None:
        self.node = node
        self.inputs = list(inputs)
        self.version = version
        self.emit = emit
        self._run = run
        self.attributes: Mapping[str, AttributeProto] = {a.name: a for a in node.attribute}
        self.read: set[str] = set()

    @property
    def wanted(self) -> int:
        """Number of outputs that the node names, trailing empty ones not counted."""
        names = list(self.node.output)
        while names and not names[-1]:
            names.pop()
        return len(names)

    def x(self, index: int = 0) -> Value:
        """Input number `index`, which must be there."""
        value = self.get(index)
        if value is None:
            raise InvalidModelError(f"{describe(self.node)} lacks its input {index}")
        return value

    def get(self, index: int) -> Value | None:
        """Input number `index`, or None if it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def all(self) -> list[Value]:
        """All inputs, every one present."""
        return [self.x(index) for index in range(len(self.inputs))]

    def op(self, op: Op, *inputs: Value | None) -> Value:
        """Apply `op`; see Emitter.op."""
        return self.emit.op(op, *inputs)

    def array(self, index: int, what: str) -> np.ndarray:
        """The constant content of input `index`; refused, naming it, if computed at run time."""
        value = self.x(index)
        if value.array is None:
            raise NotConstantError(
                f"{describe(self.node)} (operator {self.node.op_type}, domain "
                f"{self.node.domain or 'ai.onnx'!r}) is not supported: it takes {what} from "
                f"{self.node.input[index]!r}, which is {{where}}; shapes are static here, so it "
                "must be a constant or follow from shapes",
                self.emit.sources(value),
            )
        return value.array

    def ints_of(self, index: int, what: str) -> tuple[int, ...]:
        """The integers that constant input `index` holds, flattened."""
        array = self.array(index, what)
        if array.dtype.kind not in "iu" or array.size > 4096:
            raise InvalidModelError(f"{describe(self.node)}: {what} must be a few integers")
        return tuple(int(item) for item in array.reshape(-1))

    def float_of(self, index: int, what: str) -> float:
        """The number that constant input `index` holds."""
        array = self.array(index, what)
        if array.size != 1:
            raise InvalidModelError(f"{describe(self.node)}: {what} must be one number")
        return float(array.reshape(()).item())

    def integer(self, name: str, default: int | None = None) -> int:
        """Integer attribute `name`."""
        found = self._attribute(name, A.INT)
        return self._default(name, default) if found is None else int(found.i)

    def number(self, name: str, default: float | None = None) -> float:
        """Float attribute `name`."""
        found = self._attribute(name, A.FLOAT)
        return self._default(name, default) if found is None else float(found.f)

    def text(self, name: str, default: str | None = None) -> str:
        """String attribute `name`."""
        found = self._attribute(name, A.STRING)
        if found is None:
            return self._default(name, default)
        try:
            return found.s.decode()
        except UnicodeDecodeError:
            raise InvalidModelError(f"{describe(self.node)}: {name} is not UTF-8 text") from None

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Integer-list attribute `name`."""
        found = self._attribute(name, A.INTS)
        return tuple(self._default(name, default) if found is None else found.ints)

    def numbers(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """Float-list attribute `name`."""
        found = self._attribute(name, A.FLOATS)
        return tuple(self._default(name, default) if found is None else found.floats)

    def texts(self, name: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """String-list attribute `name`."""
        found = self._attribute(name, A.STRINGS)
        if found is None:
            return tuple(self._default(name, default))
        return tuple(item.decode(errors="replace") for item in found.strings)

    def tensor(self, name: str, what: str) -> np.ndarray:
        """Tensor attribute `name`; errors call it `what`."""
        found = self._attribute(name, A.TENSOR)
        return to_array(self._default(name, None if found is None else found.t), None, what)

    def subgraph(self, name: str) -> GraphProto:
        """Graph attribute `name`."""
        found = self._attribute(name, A.GRAPH)
        return self._default(name, None if found is None else found.g)

    def run(self, graph: GraphProto, inputs: Sequence[Value | None], label: str) -> list[Value]:
        """The outputs of `graph` for `inputs`; its values are named `label/...`."""
        if self._run is None:
            raise self.refuse("it has a graph inside")
        return [value for value in self._run(graph, inputs, label) if value is not None]

    def has(self, name: str) -> bool:
        """Whether attribute `name` is given."""
        return name in self.attributes

    def ignore(self, *names: str) -> None:
        """Attributes that have no effect here."""
        self.read |= set(names)

    def refuse(self, why: str, attribute: str = "") -> UnsupportedModelError:
        """The error for a node that cannot be imported."""
        part = f", attribute {attribute!r}" if attribute else ""
        return UnsupportedModelError(
            f"{describe(self.node)} (operator {self.node.op_type}, domain "
            f"{self.node.domain or 'ai.onnx'!r}{part}) is not supported: {why}"
        )

    def finish(self) -> None:
        """Refuse attributes that nothing asked for."""
        for name in self.attributes:
            if name not in self.read:
                raise self.refuse("the attribute is not known for this operator", name)

    def axis(self, rank: int, name: str = "axis", default: int | None = None) -> int:
        """Attribute `name` as a non-negative axis of a tensor of `rank` axes."""
        return self.normal(self.integer(name, default), rank)

    def normal(self, axis: int, rank: int) -> int:
        """`axis` counted from the front; InvalidModelError if outside `rank` axes."""
        if not -rank <= axis < rank:
            raise InvalidModelError(
                f"{describe(self.node)}: axis {axis} is outside a tensor of rank {rank}"
            )
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Distinct `axes` counted from the front."""
        found = tuple(self.normal(axis, rank) for axis in axes)
        if len(set(found)) != len(found):
            raise InvalidModelError(f"{describe(self.node)}: axes {list(axes)} repeat")
        return found

    def _attribute(self, name: str, kind: "A.AttributeType") -> AttributeProto | None:
        self.read.add(name)
        found = self.attributes.get(name)
        if found is not None and found.type != kind:
            have, want = A.AttributeType.Name(found.type), A.AttributeType.Name(kind)
            raise InvalidModelError(
                f"{describe(self.node)}: attribute {name!r} is of type {have}, expected {want}"
            )
        return found

    def _default(self, name: str, default: T | None) -> T:
        if default is None:
            raise InvalidModelError(f"{describe(self.node)} lacks its attribute {name!r}")
        return default


Body = Callable[[GraphProto, Sequence[Value | None], str], list[Value | None]]
Converter = Callable[[Call], Value | Sequence[Value | None]]
Table = Mapping[str, Mapping[int, Converter]]
