"""Recurrent layers against torch, whose gates come in another order."""

import numpy as np
import pytest
import torch

from codesign.errors import VerificationError
from codesign.ir.op import Op
from codesign.ir.ops.recurrent import Gru, Lstm, Rnn
from codesign.ir.types import TensorType
from tests.ir.running import normal, results

ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}


def weights(layer: torch.nn.RNNBase, kind: str) -> list[np.ndarray]:
    """weight, recurrent, bias of a torch layer in ONNX order."""

    def ordered(name: str, suffix: str) -> np.ndarray:
        parts = np.split(getattr(layer, f"{name}_l0{suffix}").detach().numpy(), len(ORDER[kind]))
        return np.concatenate([parts[i] for i in ORDER[kind]])

    suffixes = ["", "_reverse"] if layer.bidirectional else [""]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    w, r, wb, rb = (np.stack([ordered(n, s) for s in suffixes]) for n in names)
    return [w, r, np.concatenate([wb, rb], 1)]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_layers_agree_with_torch(kind: str, both: bool) -> None:
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind.upper())(3, 4, bidirectional=both)
    direction = "bidirectional" if both else "forward"
    ops: dict[str, Op] = {
        "lstm": Lstm(direction),
        "gru": Gru(direction, linear_before_reset=True),
        "rnn": Rnn(direction),
    }
    x, h, c = normal(5, 2, 3), normal(1 + both, 2, 4, seed=1), normal(1 + both, 2, 4, seed=2)
    states = [h, c] if kind == "lstm" else [h]
    y, *last = results(ops[kind], x, *weights(layer, kind), *states)
    given = tuple(map(torch.from_numpy, states))
    with torch.no_grad():
        expected, finals = layer(torch.from_numpy(x), given if kind == "lstm" else given[0])
    turned = y.transpose(0, 2, 1, 3).reshape(5, 2, -1)
    np.testing.assert_allclose(turned, expected.numpy(), rtol=1e-5, atol=1e-6)
    for found, want in zip(last, finals if kind == "lstm" else [finals], strict=True):
        np.testing.assert_allclose(found, want.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", [Lstm("reverse"), Gru("reverse"), Rnn("reverse")], ids=str)
def test_reverse_is_forward_on_reversed_time(op: Op) -> None:
    from dataclasses import replace

    gates = op.gates  # type: ignore[attr-defined]
    x, w, r = normal(5, 2, 3), normal(1, gates * 4, 3, seed=1), normal(1, gates * 4, 4, seed=2)
    backward, last, *_ = results(op, x, w, r)
    forward = replace(op, direction="forward")  # type: ignore[call-arg]
    expected, want, *_ = results(forward, np.ascontiguousarray(x[::-1]), w, r)
    np.testing.assert_allclose(backward, expected[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last, want, rtol=1e-5, atol=1e-6)


def test_gru_resets_before_or_after_the_product() -> None:
    x, h = normal(1, 1, 1), normal(1, 1, 2, seed=1)
    w, r, b = normal(1, 6, 1, seed=2), normal(1, 6, 2, seed=3), normal(1, 12, seed=4)

    def sigmoid(v: np.ndarray) -> np.ndarray:
        return np.asarray(1 / (1 + np.exp(-v)))

    enter = x[0, 0] @ w[0].T + b[0, :6]
    z, reset = np.split(sigmoid(enter[:4] + h[0, 0] @ r[0, :4].T + b[0, 6:10]), 2)
    before = (reset * h[0, 0]) @ r[0, 4:].T + b[0, 10:]
    after = reset * (h[0, 0] @ r[0, 4:].T + b[0, 10:])
    for late, seen in ((False, before), (True, after)):
        new = np.tanh(enter[4:] + seen)
        expected = (1 - z) * new + z * h[0, 0]
        found = results(Gru(linear_before_reset=late), x, w, r, b, h)[0][0, 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_lstm_peepholes_and_clip() -> None:
    x, c = normal(1, 1, 1), normal(1, 1, 1, seed=1)
    w, r, p = normal(1, 4, 1, seed=2), normal(1, 4, 1, seed=3), normal(1, 3, seed=4)

    def sigmoid(v: float) -> float:
        return float(1 / (1 + np.exp(-np.clip(v, -0.3, 0.3))))

    i, o, f, g = (x[0, 0] @ w[0].T).tolist()
    pi, po, pf = p[0].tolist()
    old = float(c[0, 0, 0])
    cell = sigmoid(f + pf * old) * old + sigmoid(i + pi * old) * np.tanh(np.clip(g, -0.3, 0.3))
    expected = sigmoid(o + po * cell) * np.tanh(cell)
    y, _, last = results(Lstm(clip=0.3), x, w, r, None, None, c, p)
    assert float(y[0, 0, 0, 0]) == pytest.approx(expected, rel=1e-5)
    assert float(last[0, 0, 0]) == pytest.approx(cell, rel=1e-5)


def test_macs_count_both_products() -> None:
    kinds = [TensorType((5, 2, 3)), TensorType((2, 16, 3)), TensorType((2, 16, 4))]
    op = Lstm("bidirectional")
    nest = op.loops(kinds, op.infer(*kinds))
    assert nest is not None
    assert nest.macs == 5 * 2 * (2 * 16 * 3 + 2 * 16 * 4)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(VerificationError, match=r"lstm needs weight of shape \(1, 16, 3\)"):
        Lstm().infer(TensorType((5, 2, 3)), TensorType((1, 12, 3)), TensorType((1, 16, 4)))
