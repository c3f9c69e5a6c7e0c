"""LSTM, GRU and Elman layers."""

from typing import ClassVar

import numpy as np

from codesign.ir.ops.recurrent import Gru, Recurrent, Rnn
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.kernels import recurrent
from codesign.targets.tvm.kernels.recurrent import RecurrentShape, pack
from codesign.targets.tvm.patterns.matmul import refuse_float32
from codesign.targets.tvm.patterns.order import Lone


class RecurrentLayer(Lone):
    """A recurrent layer whose weights are constants."""

    name: ClassVar[str] = "recurrent"
    anchors: ClassVar[frozenset[str]] = frozenset({"gru", "lstm", "rnn"})
    efficiency: ClassVar[float] = 0.15
    cost = CpuKernel.cost

    def refuse(self, group: Group) -> Refusal | None:
        for role in (1, 2, 3, 6):
            if group.input(role) is not None and group.constant(role) is None:
                return Refusal("weights are packed while compiling", f"%{group.input(role)} varies")
        kind = group.input_type(0)
        assert kind is not None
        if not kind.size:
            return Refusal("a sequence has steps", f"the input is {kind}")
        return refuse_float32(group) or super().refuse(group)

    def shape(self, group: Group) -> RecurrentShape:
        """The problem that the anchor poses."""
        op, x, weight = group.anchor.op, group.input_type(0), group.input_type(2)
        assert isinstance(op, Recurrent) and x is not None and weight is not None
        backward = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
        return RecurrentShape(
            op.kind,
            x.shape[0],
            x.shape[1],
            x.shape[2],
            weight.shape[2],
            backward[op.direction],
            op.clip,
            isinstance(op, Gru) and op.linear_before_reset,
            op.activation if isinstance(op, Rnn) else "tanh",
            (group.input(4) is not None, op.kind == "lstm" and group.input(5) is not None),
            op.kind == "lstm" and group.input(6) is not None,
        )

    def emit(self, group: Group, point: Point) -> Emitted:
        shape = self.shape(group)
        width, gates = shape.padded(self.isa), shape.gates
        weight, inner, bias = (group.constant(role) for role in (1, 2, 3))
        assert weight is not None and inner is not None
        directions = len(shape.backward)
        vector = np.zeros((directions, 2 * gates * shape.hidden), np.float32)
        vector = vector if bias is None else bias.array
        arguments: list[Argument] = [
            self.argument(group, 0),
            pack(weight.array, gates, width),
            pack(inner.array, gates, width),
            _padded(vector, 2 * gates, width).reshape(directions, 2, gates * width),
        ]
        arguments += [self.argument(group, 4 + i) for i, there in enumerate(shape.initial) if there]
        peephole = group.constant(6) if shape.peephole else None
        if peephole is not None:
            arguments.append(_padded(peephole.array, 3, width))
        return Emitted(
            lambda name: recurrent.emit(name, shape, self.isa), (*arguments, *group.outputs)
        )


def _padded(vector: np.ndarray, parts: int, width: int) -> np.ndarray:
    """[D, parts * H] as [D, 1, parts * width]."""
    return pack(vector[:, :, None], parts, width)
