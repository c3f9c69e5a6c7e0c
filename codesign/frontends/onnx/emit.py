"""Applying ops while importing: at once on constants, into the graph otherwise."""

from collections.abc import Sequence
from math import prod

import numpy as np

from codesign.errors import UnsupportedModelError, VerificationError
from codesign.frontends.onnx.value import Value
from codesign.ir.builder import Builder
from codesign.ir.dtype import DType, from_numpy
from codesign.ir.encodings.grid import Grid
from codesign.ir.op import Op
from codesign.ir.ops.encode import Codes, Encode
from codesign.ir.types import TensorType

FOLD_BYTES = 1 << 30
TOTAL_BYTES = 1 << 31
VALUE_BYTES = 1 << 36
FOLD_MACS = 1 << 33
FOLD_ELEMENTS = 1 << 25
TORCH_ERRORS = (RuntimeError, TypeError, ValueError, IndexError, OverflowError, MemoryError)


class Emitter:
    """Collects the graph. Ops whose inputs are all constants are evaluated by their own meaning.

    Names in the builder are provisional; `wanted` holds what each value should be called.
    """

    def __init__(self, name: str) -> None:
        self.builder = Builder(name)
        self.wanted: dict[str, str] = {}
        self.label = name
        self._computed = 0
        self._names: dict[int, str] = {}
        self._shared: dict[tuple[int, Op], Value] = {}
        self._encoded: dict[tuple[int, Grid], Value] = {}

    def input(self, name: str, kind: TensorType) -> Value:
        """A graph input."""
        return Value(kind, name=self.builder.input(name, kind.shape, kind.dtype), label=name)

    def constant(
        self, array: np.ndarray, label: str = "", width: int | None = None, kind: Grid | None = None
    ) -> Value:
        """A constant of logical values, not in the graph until an op reads it."""
        encodings = () if kind is None else (kind,)
        dense = TensorType(array.shape, from_numpy(array.dtype), encodings)
        return Value(dense, array=array, width=width, label=label or f"{self.label}.constant")

    def scalar(self, number: float, like: Value) -> Value:
        """A constant of rank 0 with the element type of `like`."""
        return self.constant(np.array(number, like.dtype.numpy))

    def op(self, op: Op, *inputs: Value | None) -> Value:
        """Apply `op` and return its first result."""
        return self.results(op, *inputs)[0]

    def shared(self, op: Op, x: Value) -> Value:
        """Apply `op` to `x`, once for the same op and value."""
        key = (x.serial, op)
        if key not in self._shared:
            self._shared[key] = self.op(op, x)
        return self._shared[key]

    def results(self, op: Op, *inputs: Value | None) -> tuple[Value, ...]:
        """Apply `op` and return all its results; constants give constants."""
        types = op.infer(*(None if value is None else value.type for value in inputs))
        self._limit(op, types)
        fixed = all(value is None or value.constant for value in inputs)
        if fixed and self._small(op, inputs, types):
            made = self._fold(op, inputs, types)
            source = next((value.label for value in inputs if value is not None), self.label)
            return tuple(self.constant(array, f"{source}.{op.kind}") for array in made)
        names = [None if value is None else self.name(value) for value in inputs]
        wanted = f"{self.label}.{op.kind}"
        results = self.builder.results(op, *names, names=[wanted])
        return tuple(Value(self.builder.types[name], name=name, label=name) for name in results)

    def name(self, value: Value) -> str:
        """The builder's name of `value`, which puts constants and codes into the graph."""
        if value.name is not None:
            return value.name
        if value.serial not in self._names:
            self._names[value.serial] = self._place(value)
        return self._names[value.serial]

    def _place(self, value: Value) -> str:
        if value.array is not None:
            return self.builder.constant(value.array, value.label, value.type.encodings)
        assert value.codes_of is not None
        source = self.name(value.codes_of)
        return self.builder.op(Codes(str(value.dtype)), source, name=f"{source}.codes")

    def encode(self, x: Value, kind: Grid) -> Value:
        """`x` stored in `kind`; the same value if it is stored so already."""
        if x.encoding == kind:
            return x
        if x.array is not None:
            projected = kind.decode(kind.encode(x.array), x.shape).astype(x.array.dtype)
            return self.constant(projected, x.label, kind=kind)
        key = (x.serial, kind)
        if key not in self._encoded:
            name = self.builder.op(Encode(), self.name(x), name=f"{self.label}.encode")
            self.builder.types[name] = x.type.dense.with_encoding(kind)
            self._encoded[key] = Value(self.builder.types[name], name=name, label=name)
        return self._encoded[key]

    def codes(self, x: Value, dtype: DType, width: int | None = None) -> Value:
        """The integer codes of encoded `x`, as a value that becomes an op only if read."""
        if x.array is not None and x.encoding is not None:
            stored = x.encoding.encode(x.array)["values"].astype(dtype.numpy)
            return self.constant(stored, x.label, width)
        return Value(TensorType(x.shape, dtype), codes_of=x, width=width, label=f"{x.label}.codes")

    def sources(self, value: Value) -> list[str]:
        """The graph inputs that `value` is computed from."""
        makers = {name: node for node in self.builder.nodes for name in node.outputs}
        found: set[str] = set()
        waiting = [self.name(value)]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += makers[name].operands if name in makers else ()
        return [name for name in self.builder.inputs if name in found]

    def reserve(self, size: int, what: str) -> None:
        """Refuse `size` more bytes of computed constants if one or all of them take too much."""
        self._computed += size
        if size > FOLD_BYTES or self._computed > TOTAL_BYTES:
            raise UnsupportedModelError(
                f"{what} would take {size / 2**30:.1f} GiB; a constant that the model computes may "
                f"take {FOLD_BYTES >> 30} GiB, all together {TOTAL_BYTES >> 30} GiB"
            )

    def _limit(self, op: Op, types: Sequence[TensorType]) -> None:
        for kind in types:
            size = prod(kind.shape) * kind.dtype.numpy.itemsize
            if size > VALUE_BYTES or kind.rank > 32:
                raise UnsupportedModelError(
                    f"the result of {op.kind} has shape {list(kind.shape)[:32]}, more than "
                    f"{VALUE_BYTES >> 30} GiB; the model's shapes are likely broken"
                )

    def _small(self, op: Op, inputs: Sequence[Value | None], results: Sequence[TensorType]) -> bool:
        """Whether evaluating `op` now takes a few seconds at most; it stays an op otherwise.

        Results may be large if they are no larger than what they come from: rearranged weights.
        """
        types = [None if value is None else value.type for value in inputs]
        given = sum(kind.size for kind in types if kind is not None)
        if sum(kind.size for kind in results) > max(FOLD_ELEMENTS, given):
            return False
        nest = op.loops(types, results) if given else None
        return nest is None or prod(extent for _, extent in nest.bounds) <= FOLD_MACS

    def _fold(
        self, op: Op, inputs: Sequence[Value | None], types: Sequence[TensorType]
    ) -> list[np.ndarray]:
        import torch

        from codesign.interpret.arrays import carried, to_numpy, to_torch

        total = sum(prod(kind.shape) * kind.dtype.numpy.itemsize for kind in types)
        given = sum(value.array.nbytes for value in inputs if value and value.array is not None)
        if total > given:  # what only rearranges the model's own weights is as large as those
            self.reserve(total, f"the constant result of {op.kind}")
        tensors = [
            None if value is None or value.array is None else to_torch(value.array)
            for value in inputs
        ]
        try:
            with torch.no_grad():
                made = op.evaluate(*tensors)
        except TORCH_ERRORS as error:
            raise UnsupportedModelError(
                f"{op.kind} cannot be computed for these constants: {str(error).splitlines()[0]}"
            ) from None
        results = made if isinstance(made, tuple) else (made,)
        return [
            _checked(op, to_numpy(carried(tensor, kind.dtype), kind.dtype), kind)
            for tensor, kind in zip(results, types, strict=True)
        ]


def _checked(op: Op, array: np.ndarray, kind: TensorType) -> np.ndarray:
    """`array` if it is of the inferred type."""
    if array.shape != kind.shape or array.dtype != kind.dtype.numpy:
        raise VerificationError(
            f"{op.kind} made {array.dtype}{list(array.shape)}, its inference says {kind}"
        )
    return array
