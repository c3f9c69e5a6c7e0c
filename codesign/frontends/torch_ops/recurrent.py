"""LSTM, GRU and RNN of aten: stacks of layers, one op each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codesign.frontends.torch_ops.call import Call, Known, Result
from codesign.ir.ops import recurrent
from codesign.ir.ops.join import Concat, Slice
from codesign.ir.ops.shape import Reshape, Transpose

# Our gates in terms of torch's: lstm i, o, f, c of i, f, g, o; gru z, r, h of r, z, n.
_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}


def lstm(call: Call) -> Result:
    """aten.lstm: (output, h, c)."""
    return _stack(call, "lstm", call.get("hx"))


def gru(call: Call) -> Result:
    """aten.gru: (output, h)."""
    return _stack(call, "gru", [call.get("hx")])


def rnn_tanh(call: Call) -> Result:
    """aten.rnn_tanh: (output, h)."""
    return _stack(call, "rnn", [call.get("hx")])


def rnn_relu(call: Call) -> Result:
    """aten.rnn_relu: (output, h)."""
    return _stack(call, "relu_rnn", [call.get("hx")])


def _op(kind: str, both: bool) -> recurrent.Recurrent:
    direction = "bidirectional" if both else "forward"
    if kind == "lstm":
        return recurrent.Lstm(direction)
    if kind == "gru":
        return recurrent.Gru(direction, linear_before_reset=True)
    return recurrent.Rnn(direction, activation="relu" if kind == "relu_rnn" else "tanh")


def _stack(call: Call, kind: str, states: Sequence[object]) -> Result:
    """All layers, one after the other; final states joined over the layers."""
    if "data" in call.arguments:
        raise call.refuse("takes packed sequences; give a padded batch")
    if call.get("train") and call.get("dropout"):
        raise call.refuse("drops values at random; call .eval() on the model first")
    both, first = bool(call.get("bidirectional")), bool(call.get("batch_first"))
    x = call.value("input")
    x = call.emit(Transpose((1, 0, 2)), x, part="time_first") if first else x
    finals: list[list[str]] = [[] for _ in states]
    for layer in range(call.get("num_layers")):
        starts = [_start(call, state, layer, 1 + both) for state in states]
        inputs = (x, *_weights(call, kind, layer, both), *starts)
        y, *ends = call.emits(_op(kind, both), *inputs, part=f"layer{layer}")
        for found, end in zip(finals, ends, strict=True):
            found.append(end)
        x = _joined(call, y)
    x = call.emit(Transpose((1, 0, 2)), x) if first else x
    return (x, *(_all_layers(call, ends) for ends in finals))


def _joined(call: Call, y: str) -> str:
    """[T, D, N, H] as [T, N, D H]."""
    t, d, n, h = call.shape(y)
    turned = y if d == 1 else call.emit(Transpose((0, 2, 1, 3)), y, part="directions_last")
    return call.emit(Reshape((t, n, d * h)), turned, part="joined")


def _all_layers(call: Call, ends: Sequence[str]) -> str:
    return ends[0] if len(ends) == 1 else call.emit(Concat(0), *ends, part="state")


def _start(call: Call, state: object, layer: int, directions: int) -> str | None:
    """The initial state of one layer, None where it is all zero."""
    if isinstance(state, Known) and not state.tensor.any():
        return None
    whole = call.as_value(state)
    cut = Slice((0,), (layer * directions,), ((layer + 1) * directions,), (1,))
    layers = call.shape(whole)[0] // directions
    return whole if layers == 1 else call.emit(cut, whole, part=f"start{layer}")


def _weights(call: Call, kind: str, layer: int, both: bool) -> tuple[str | None, ...]:
    """weight, recurrent and bias constants of one layer, both directions stacked."""
    biased, parameters = bool(call.get("has_biases")), call.get("params")
    step = 4 if biased else 2
    if len(parameters) != step * call.get("num_layers") * (1 + both):
        raise call.refuse("projects its hidden state (proj_size), which is not supported")
    begin = layer * step * (1 + both)
    own = parameters[begin : begin + step * (1 + both)]
    if any(not isinstance(p, Known) for p in own):
        raise call.refuse("needs constant weights")
    order = _ORDER["rnn" if kind == "relu_rnn" else kind]

    def joined(offset: int) -> Tensor:
        parts = [own[d * step + offset].tensor for d in range(1 + both)]
        return torch.stack([_reordered(part, order) for part in parts])

    weight, back = (call.constant(joined(i), own[i].name) for i in range(2))
    if not biased:
        return weight, back, None
    bias = torch.cat([joined(2), joined(3)], 1)
    return weight, back, call.constant(bias, own[2].name.replace("bias_ih", "bias"))


def _reordered(gates: Tensor, order: Sequence[int]) -> Tensor:
    parts = gates.detach().chunk(len(order))
    return torch.cat([parts[i] for i in order])
