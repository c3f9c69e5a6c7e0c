"""Recurrent layers with the meaning, gate order and shapes of ONNX LSTM, GRU and RNN.

x [T, N, I], weight [D, G H, I], recurrent [D, G H, H], bias [D, 2 G H] (input biases, then
recurrent ones), initial states [D, N, H]; D is 2 for `bidirectional`, G the number of gates.
Results: y [T, D, N, H] and the last state(s) [D, N, H].
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from codesign.ir.loops import Access, LoopNest, axis
from codesign.ir.op import Op, Types, refuse
from codesign.ir.ops.operands import (
    check_float,
    check_shape,
    given,
    maybe,
    maybe_type,
    pick,
)
from codesign.ir.types import TensorType

if TYPE_CHECKING:
    from torch import Tensor

    State = tuple[Tensor, ...]
    Step = Callable[[Tensor, State], State]

DIRECTIONS = ("forward", "reverse", "bidirectional")


@dataclass(frozen=True)
class Recurrent(Op):
    """Base of the recurrent layers. `clip` bounds what enters the gates (0: no bound)."""

    roles: ClassVar[tuple[str, ...]] = ("x", "weight", "recurrent", "bias?", "initial_h?")
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    direction: str = "forward"
    clip: float = 0.0

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x, w, r = (self.input(inputs, i) for i in range(3))
        pick(self, "directions", self.direction, DIRECTIONS)
        check_float(self, x, w, r)
        d = 2 if self.direction == "bidirectional" else 1
        if x.rank != 3 or r.rank != 3:
            raise refuse(self, "needs x [T, N, I] and recurrent [D, G H, H]", x, w, r)
        (t, n, i), h = x.shape, r.shape[2]
        check_shape(self, "weight", (d, self.gates * h, i), w)
        check_shape(self, "recurrent", (d, self.gates * h, h), r)
        check_shape(self, "bias", (d, 2 * self.gates * h), maybe_type(inputs, 3))
        for role in range(4, 4 + self.states):
            check_shape(self, self.roles[role].strip("?"), (d, n, h), maybe_type(inputs, role))
        last = TensorType((d, n, h), x.dtype)
        return (TensorType((t, d, n, h), x.dtype), *([last] * self.states))

    def evaluate(self, *inputs: "Tensor | None") -> "tuple[Tensor, ...]":
        import torch

        x, r = given(inputs, 0), given(inputs, 2)
        runs = []
        for d in range(r.shape[0]):
            backward = self.direction == "reverse" or d == 1
            start = []
            for role in range(4, 4 + self.states):
                state = maybe(inputs, role)
                zero = x.new_zeros(x.shape[1], r.shape[2])
                start.append(zero if state is None else state[d])
            step = self.step([None if t is None else t[d] for t in (None, *inputs[1:])])
            runs.append(_unroll(step, x.flip(0) if backward else x, tuple(start), backward))
        y = torch.stack([outputs for outputs, _ in runs], 1)
        return (y, *(torch.stack(parts) for parts in zip(*(s for _, s in runs), strict=True)))

    @abstractmethod
    def step(self, weights: "Sequence[Tensor | None]") -> "Step":
        """One time step of one direction: (x_t [N, I], state) -> state, h first."""

    def bounded(self, x: "Tensor") -> "Tensor":
        """x within the clip."""
        return x.clamp(-self.clip, self.clip) if self.clip else x

    def biases(self, bias: "Tensor | None", like: "Tensor") -> "tuple[Tensor, Tensor]":
        """The input and the recurrent half of a bias, zero if there is none."""
        half = like.shape[0]
        zero = like.new_zeros(half)
        return (zero, zero) if bias is None else (bias[:half], bias[half:])

    def loops(self, inputs: Sequence[TensorType | None], outputs: Types) -> LoopNest:
        """The input and the recurrent product as one: `c` runs over x_t and h side by side."""
        x, r = self.input(inputs, 0), self.input(inputs, 2)
        bounds = (
            ("t", x.shape[0]),
            ("d", r.shape[0]),
            ("n", x.shape[1]),
            ("m", r.shape[1]),
            ("c", x.shape[2] + r.shape[2]),
        )
        return LoopNest(
            bounds,
            (
                Access(0, (axis("t"), axis("n"), axis("c"))),
                Access(1, (axis("d"), axis("m"), axis("c"))),
                Access(-1, (axis("t"), axis("d"), axis("n"), axis("m"))),
            ),
        )


def _unroll(step: "Step", x: "Tensor", state: "State", backward: bool) -> "tuple[Tensor, State]":
    """h of every step in the order of time, and the state after the last step."""
    import torch

    outputs = []
    for t in range(x.shape[0]):
        state = step(x[t], state)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backward else outputs), state


@dataclass(frozen=True)
class Rnn(Recurrent):
    """h = tanh(W x + R h + b) (Elman, 1990)."""

    kind: ClassVar[str] = "rnn"

    activation: str = "tanh"

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        pick(self, "activations", self.activation, ("tanh", "relu"))
        return super().infer(*inputs)

    def step(self, weights: "Sequence[Tensor | None]") -> "Step":
        w, r = given(weights, 1), given(weights, 2)
        bias = sum(self.biases(maybe(weights, 3), r))

        def run(x: "Tensor", state: "State") -> "State":
            total = self.bounded(x @ w.T + state[0] @ r.T + bias)
            return (total.tanh() if self.activation == "tanh" else total.relu(),)

        return run


@dataclass(frozen=True)
class Lstm(Recurrent):
    """Gates i, o, f, c (Hochreiter and Schmidhuber, 1997); results y, h, c.

    c' = f * c + i * tanh(g); h' = o * tanh(c'). `peephole` [D, 3 H] lets i, o, f see the cell.
    """

    kind: ClassVar[str] = "lstm"
    roles: ClassVar[tuple[str, ...]] = (
        *Recurrent.roles,
        "initial_c?",
        "peephole?",
    )
    gates: ClassVar[int] = 4
    states: ClassVar[int] = 2

    def infer(self, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        types = super().infer(*inputs)
        d, _, h = types[1].shape
        check_shape(self, "peephole", (d, 3 * h), maybe_type(inputs, 6))
        return types

    def step(self, weights: "Sequence[Tensor | None]") -> "Step":
        w, r = given(weights, 1), given(weights, 2)
        bias = sum(self.biases(maybe(weights, 3), r))
        peephole = maybe(weights, 6)
        pi, po, pf = (0.0, 0.0, 0.0) if peephole is None else peephole.chunk(3)

        def run(x: "Tensor", state: "State") -> "State":
            h, c = state
            i, o, f, g = (x @ w.T + h @ r.T + bias).chunk(4, -1)
            i = self.bounded(i + pi * c).sigmoid()
            f = self.bounded(f + pf * c).sigmoid()
            c = f * c + i * self.bounded(g).tanh()
            return self.bounded(o + po * c).sigmoid() * c.tanh(), c

        return run


@dataclass(frozen=True)
class Gru(Recurrent):
    """Gates z, r, h (Cho et al., 2014); h' = (1 - z) * n + z * h.

    `linear_before_reset` multiplies by r after the recurrent product instead of before (cuDNN's
    and torch's form).
    """

    kind: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3

    linear_before_reset: bool = False

    def step(self, weights: "Sequence[Tensor | None]") -> "Step":
        w, r = given(weights, 1), given(weights, 2)
        wb, rb = self.biases(maybe(weights, 3), r)
        size = r.shape[1]
        r_gates, r_new, rb_new = r[: 2 * size], r[2 * size :], rb[2 * size :]

        def run(x: "Tensor", state: "State") -> "State":
            (h,) = state
            entering = x @ w.T + wb
            gates = self.bounded(entering[:, : 2 * size] + h @ r_gates.T + rb[: 2 * size])
            z, reset = gates.sigmoid().chunk(2, -1)
            if self.linear_before_reset:
                seen = reset * (h @ r_new.T + rb_new)
            else:
                seen = (reset * h) @ r_new.T + rb_new
            new = self.bounded(entering[:, 2 * size :] + seen).tanh()
            return ((1 - z) * new + z * h,)

        return run
