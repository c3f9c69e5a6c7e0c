"""Recurrent layers on the CPU against torch."""

import numpy as np
import pytest

from codesign.ir.ops.recurrent import Gru, Lstm, Recurrent, Rnn
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net


def _layer(
    net: Net, op: Recurrent, *, bias: bool = True, state: bool = True, peep: bool = False
) -> None:
    steps, batch, inputs, hidden = 5, 2, 7, 19
    d = 2 if op.direction == "bidirectional" else 1
    rows = op.gates * hidden

    def weight(*shape: int) -> str:
        return net.constant((net.random.standard_normal(shape) * 0.4).astype(np.float32))

    given: list[str | None] = [
        net.normal(steps, batch, inputs),
        weight(d, rows, inputs),
        weight(d, rows, hidden),
        weight(d, 2 * rows) if bias else None,
    ]
    given += [net.normal(d, batch, hidden) if state else None for _ in range(op.states)]
    if peep:
        given.append(weight(d, 3 * hidden))
    for value in net.results(op, *given, names=["r"]):
        net.returns(value, 1e-5)


@pytest.mark.parametrize("isa", ["host", "x86"])
def test_layers_of_every_kind(isa: str) -> None:
    net = Net()
    _layer(net, Lstm("bidirectional"))
    _layer(net, Lstm("reverse", 0.8), peep=True)
    _layer(net, Lstm(), bias=False, state=False)
    _layer(net, Gru("bidirectional", 0.5))
    _layer(net, Gru(linear_before_reset=True))
    _layer(net, Rnn("reverse"))
    _layer(net, Rnn(activation="relu"), state=False)
    net.check(Cpu(isa), {"recurrent": 7})
