"""Building graphs op by op, with types inferred."""

from collections.abc import Sequence

import numpy as np

from codesign.ir.const import Const
from codesign.ir.dtype import DType, from_numpy
from codesign.ir.encoding import Encodings
from codesign.ir.graph import Graph, Node
from codesign.ir.op import Op
from codesign.ir.types import TensorType
from codesign.ir.verify import verify_graph


class Builder:
    """Collects inputs, constants and ops; `graph` freezes and verifies them.

    Values are names. A name that is taken gets a suffix `_1`, `_2`, ...
    """

    def __init__(self, name: str = "main") -> None:
        self.name = name
        self.inputs: list[str] = []
        self.nodes: list[Node] = []
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, Const] = {}
        self._next: dict[str, int] = {}

    def fresh(self, name: str) -> str:
        """`name`, or the first free name made from it."""
        if name not in self.types:
            return name
        number = self._next.get(name, 0)
        while f"{name}_{number + 1}" in self.types:
            number += 1
        self._next[name] = number + 1
        return f"{name}_{number + 1}"

    def input(self, name: str, shape: Sequence[int], dtype: DType = DType.F32) -> str:
        """Declare an input and return its value."""
        value = self.fresh(name)
        self.inputs.append(value)
        self.types[value] = TensorType(tuple(shape), dtype)
        return value

    def constant(
        self, array: np.ndarray | Const, name: str = "c", encodings: Encodings = ()
    ) -> str:
        """Add a constant of logical values and return its value."""
        const = array if isinstance(array, Const) else Const.share(np.asarray(array))
        value = self.fresh(name)
        self.constants[value] = const
        self.types[value] = TensorType(const.shape, from_numpy(const.array.dtype), encodings)
        return value

    def op(
        self, op: Op, *inputs: str | None, name: str | None = None, names: Sequence[str] = ()
    ) -> str:
        """Apply `op`; return its first result (see `results` for all)."""
        return self.results(op, *inputs, names=names or [name or op.kind])[0]

    def results(self, op: Op, *inputs: str | None, names: Sequence[str] = ()) -> tuple[str, ...]:
        """Apply `op`; return all its results, named after `names` as far as those go."""
        given = [None if value is None else self.types[value] for value in inputs]
        types = op.infer(*given)
        wanted = [names[i] if i < len(names) else f"{names[0]}_{i}" for i in range(len(types))]
        outputs = []
        for want, result in zip(wanted, types, strict=True):
            value = self.fresh(want)
            self.types[value] = result
            outputs.append(value)
        self.nodes.append(Node(op, tuple(inputs), tuple(outputs)))
        return tuple(outputs)

    def graph(self, *outputs: str, output_names: Sequence[str] = ()) -> Graph:
        """The graph that returns `outputs`, verified."""
        graph = Graph(
            self.name,
            tuple(self.inputs),
            outputs,
            tuple(output_names) or outputs,
            tuple(self.nodes),
            self.types,
            self.constants,
        )
        verify_graph(graph)
        return graph
