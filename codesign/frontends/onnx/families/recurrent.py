"""LSTM, GRU and RNN."""

from collections.abc import Sequence

from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.shape import transposed
from codesign.frontends.onnx.value import Value
from codesign.ir.op import Op
from codesign.ir.ops.recurrent import Gru, Lstm, Rnn


def _direction(call: Call) -> str:
    direction = call.text("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise call.refuse(f"direction={direction!r}", "direction")
    return direction


def _activations(call: Call, direction: str, expected: Sequence[str]) -> list[str]:
    """The activations, which must be the `expected` ones where those are not empty strings."""
    count = 2 if direction == "bidirectional" else 1
    default = [name or "Tanh" for name in expected] * count
    found = [name.capitalize() for name in call.texts("activations", default)]
    if any(call.has(name) for name in ("activation_alpha", "activation_beta")):
        call.ignore("activation_alpha", "activation_beta")
        if call.numbers("activation_alpha", ()) or call.numbers("activation_beta", ()):
            raise call.refuse("activations with parameters", "activation_alpha")
    wanted = list(expected) * count
    if len(found) != len(wanted) or any(
        want and have != want for have, want in zip(found, wanted, strict=True)
    ):
        raise call.refuse(f"activations={found}", "activations")
    return found


def _check_lengths(call: Call, time: int) -> None:
    """Refuse sequences of different lengths."""
    if call.get(4) is not None and any(n != time for n in call.ints_of(4, "the lengths")):
        raise call.refuse(f"sequence_lens shorter than the {time} steps")


def _run(call: Call, op: Op, states: int) -> list[Value]:
    call.ignore("hidden_size")
    batch_first = bool(call.integer("layout", 0))
    x = transposed(call, call.x(), (1, 0, 2)) if batch_first else call.x()
    _check_lengths(call, x.shape[0])
    starts = [call.get(5 + i) for i in range(states)]
    if batch_first:
        starts = [None if s is None else transposed(call, s, (1, 0, 2)) for s in starts]
    further = [call.get(7)] if states == 2 else []
    y, *last = call.emit.results(op, x, call.x(1), call.x(2), call.get(3), *starts, *further)
    if batch_first:
        return [
            transposed(call, y, (2, 0, 1, 3)),
            *(transposed(call, s, (1, 0, 2)) for s in last),
        ]
    return [y, *last]


def lstm(call: Call) -> list[Value]:
    """LSTM."""
    direction = _direction(call)
    _activations(call, direction, ("Sigmoid", "Tanh", "Tanh"))
    if call.integer("input_forget", 0):
        raise call.refuse("input_forget=1", "input_forget")
    return _run(call, Lstm(direction, call.number("clip", 0.0)), 2)


def gru(call: Call) -> list[Value]:
    """GRU."""
    direction = _direction(call)
    _activations(call, direction, ("Sigmoid", "Tanh"))
    before = bool(call.integer("linear_before_reset", 0))
    return _run(call, Gru(direction, call.number("clip", 0.0), before), 1)


def rnn(call: Call) -> list[Value]:
    """RNN with tanh or relu."""
    direction = _direction(call)
    names = set(_activations(call, direction, ("",)))
    if len(names) != 1 or not names <= {"Tanh", "Relu"}:
        raise call.refuse(f"activations={sorted(names)}", "activations")
    return _run(call, Rnn(direction, call.number("clip", 0.0), names.pop().lower()), 1)


TABLE: Table = {"GRU": {7: gru}, "LSTM": {7: lstm}, "RNN": {7: rnn}}
