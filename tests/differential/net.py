"""An ONNX network in the making: nodes, weights, and the shape of every value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper, shape_inference

OPSET = 20
LARGEST = 4096  # elements of a value
Shape = tuple[int, ...]


class Net:
    """Grows a network node by node; choices and weights come from `random`.

    `older` are the values that later nodes may join with, in order of making.
    """

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.nodes: list[NodeProto] = []
        self.types: dict[str, onnx.TypeProto] = {}
        self.weights: dict[str, TensorProto] = {}
        self.inputs: dict[str, Shape] = {}
        self.older: list[str] = []

    def input(self, shape: Shape) -> str:
        """A float32 input."""
        name = f"x{len(self.inputs)}"
        self.inputs[name] = shape
        self.types[name] = helper.make_tensor_type_proto(TensorProto.FLOAT, shape)
        self.older.append(name)
        return name

    def shape(self, value: str) -> Shape:
        """Shape of a value."""
        return tuple(d.dim_value for d in self.types[value].tensor_type.shape.dim)

    def constant(self, array: Any) -> str:
        """An initializer."""
        name = f"w{len(self.weights)}"
        tensor = numpy_helper.from_array(np.asarray(array), name)
        self.weights[name] = tensor
        self.types[name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        return name

    def integers(self, *values: int) -> str:
        """An initializer of int64, as shapes and axes are given."""
        return self.constant(np.array(values, np.int64))

    def normal(self, *shape: int, fan: int = 1) -> str:
        """Normally distributed weights whose sums of `fan` products keep the scale of their input.

        At times the weights of one output are zero.
        """
        array = self.random.standard_normal(shape).astype(np.float32) / np.float32(fan**0.5)
        if len(shape) > 1 and self.chance(6):
            array[self.random.integers(shape[0])] = 0
        return self.constant(array)

    def between(self, low: float, high: float, *shape: int) -> str:
        """Evenly distributed constants."""
        return self.constant(self.random.uniform(low, high, shape).astype(np.float32))

    def op(self, kind: str, *inputs: str | None, **attributes: Any) -> str:
        """The result of one node."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, results: int, *inputs: str | None, **attributes: Any) -> list[str]:
        """The results of one node; its output shapes are inferred by onnx."""
        names = [f"v{len(self.nodes)}_{i}" for i in range(results)]
        given = ["" if name is None else name for name in inputs]
        node = helper.make_node(kind, given, names, name=f"n{len(self.nodes)}", **attributes)
        found = shape_inference.infer_node_outputs(
            defs.get_schema(kind, OPSET),
            node,
            {name: self.types[name] for name in given if name},
            {name: self.weights[name] for name in given if name in self.weights},
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        self.types |= found
        self.nodes.append(node)
        return names

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of `choices`."""
        return choices[self.number(0, len(choices) - 1)]

    def number(self, low: int, high: int) -> int:
        """An integer from `low` to `high`."""
        return int(self.random.integers(low, high + 1))

    def chance(self, odds: int) -> bool:
        """True one time in `odds`."""
        return self.number(1, odds) == odds

    def mark(self) -> tuple[int, int]:
        """Where the network stands, for `back`."""
        return len(self.nodes), len(self.older)

    def back(self, mark: tuple[int, int]) -> None:
        """Forget all nodes made since `mark`."""
        del self.nodes[mark[0] :]
        del self.older[mark[1] :]

    def model(self, outputs: Sequence[str]) -> ModelProto:
        """The model with everything its outputs need."""
        needed, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                nodes.append(node)
        declared = [helper.make_value_info(name, self.types[name]) for name in self.inputs]
        results = [helper.make_value_info(name, self.types[name]) for name in outputs]
        weights = [tensor for name, tensor in self.weights.items() if name in needed]
        graph = helper.make_graph(nodes[::-1], "drawn", declared, results, weights)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)
