"""Recurrent layers in float32: all input products first, in parallel, then step after step.

Every gate is padded to whole vectors: weights are packed [directions, rows, gates, padded hidden],
states and gates lie padded too. The elements that pad stay finite and are never stored.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.targets.tvm import math
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import vectors
from codesign.targets.tvm.math import at_least, at_most, number
from codesign.targets.tvm.tir import (
    Buffer,
    Expr,
    Function,
    PrimFunc,
    load,
    multiply_add,
    splat,
)

UNROLL = 4  # vectors of gates that are summed side by side
FLOAT = "float32"


@dataclass(frozen=True)
class RecurrentShape:
    """x [steps, batch, inputs], `hidden` units; `kind` is lstm, gru or rnn.

    `backward` says for each direction whether time runs backwards. `clip` bounds gates (0: not).
    `after`: the reset gate multiplies the recurrent product (linear_before_reset).
    """

    kind: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    backward: tuple[bool, ...]
    clip: float = 0.0
    after: bool = False
    activation: str = "tanh"
    initial: tuple[bool, bool] = (False, False)
    peephole: bool = False

    @property
    def gates(self) -> int:
        """Gates of a unit."""
        return {"lstm": 4, "gru": 3, "rnn": 1}[self.kind]

    def padded(self, isa: Isa) -> int:
        """Hidden units in whole vectors."""
        return -(-self.hidden // isa.f32_lanes) * isa.f32_lanes


def pack(w: NDArray[np.float32], gates: int, width: int) -> NDArray[np.float32]:
    """[D, gates * H, K] as [D, K, gates * width], each gate padded with zeros."""
    directions, rows, depth = w.shape
    split = w.reshape(directions, gates, rows // gates, depth).transpose(0, 3, 1, 2)
    out = np.zeros((directions, depth, gates, width), np.float32)
    out[..., : rows // gates] = split
    return out.reshape(directions, depth, gates * width)


def emit(name: str, shape: RecurrentShape, isa: Isa) -> PrimFunc:
    """Buffers: x, weight, recurrent, bias [D, 2, gates], initial states, peephole, results."""
    f = Function(name)
    width, d = shape.padded(isa), len(shape.backward)
    columns = shape.gates * width
    x = f.argument("x", (shape.steps, shape.batch, shape.inputs), FLOAT)
    weight = f.argument("weight", (d, shape.inputs, columns), FLOAT)
    recurrent = f.argument("recurrent", (d, shape.hidden, columns), FLOAT)
    bias = f.argument("bias", (d, 2, columns), FLOAT)
    state = (d, shape.batch, shape.hidden)
    starts = [
        f.argument(f"start{i}", state, FLOAT) if n else None for i, n in enumerate(shape.initial)
    ]
    peephole = f.argument("peephole", (d, 1, 3 * width), FLOAT) if shape.peephole else None
    y = f.argument("y", (shape.steps, d, shape.batch, shape.hidden), FLOAT)
    lasts = [f.argument(f"last{i}", state, FLOAT) for i in range(2 if shape.kind == "lstm" else 1)]
    for direction, backward in enumerate(shape.backward):
        work = _Direction(f, shape, isa, width, direction, backward, recurrent, bias, peephole)
        work.run(x, weight, starts, y, lasts)
    return f.build()


@dataclass(frozen=True)
class _Direction:
    f: Function
    shape: RecurrentShape
    isa: Isa
    width: int
    number: int
    backward: bool
    recurrent: Buffer
    bias: Buffer
    peephole: Buffer | None

    def run(
        self,
        x: Buffer,
        weight: Buffer,
        starts: list[Buffer | None],
        y: Buffer,
        lasts: list[Buffer],
    ) -> None:
        """All steps of one direction."""
        f, s = self.f, self.shape
        columns = s.gates * self.width
        entering = f.local("entering", (s.steps * s.batch, columns), FLOAT)
        with f.parallel(s.steps * s.batch, "row") as row:
            self._product(
                entering,
                row,
                0,
                columns,
                s.inputs,
                lambda k: load(x, (row // s.batch, row % s.batch, k)),
                weight,
                0,
            )
        h = f.local("h", (s.batch, self.width), FLOAT)
        c = f.local("c", (s.batch, self.width), FLOAT)
        seen = f.local("seen", (1, columns), FLOAT)
        gated = f.local("gated", (1, self.width), FLOAT)
        for state, start in ((h, starts[0]), (c, starts[1])):
            self._begin(state, start)
        with f.serial(s.steps, "step") as step:
            time = s.steps - 1 - step if self.backward else step
            with f.serial(s.batch, "n") as n:
                cell = _Cell(self, entering, time * s.batch + n, seen, h, c, gated, n)
                getattr(cell, s.kind)()
                self._copy(y, (time, self.number, n), h, n)
        for state, last in zip((h, c), lasts, strict=False):
            with f.serial(s.batch, "n") as n:
                self._copy(last, (self.number, n), state, n)

    def _begin(self, state: Buffer, start: Buffer | None) -> None:
        f, s = self.f, self.shape
        zero = number(0, load(state, (0, 0)))
        with f.serial(s.batch, "n") as n:
            vectors(f, 0, self.width, self.isa.f32_lanes, lambda i: f.store(state, zero, (n, i)))
            if start is not None:
                self.each_hidden(lambda i: f.store(state, load(start, (self.number, n, i)), (n, i)))

    def _copy(self, out: Buffer, place: tuple[Expr, ...], state: Buffer, n: Expr) -> None:
        self.each_hidden(lambda i: self.f.store(out, load(state, (n, i)), (*place, i)))

    def each_hidden(self, body: Callable[[Expr], None]) -> None:
        """body(i) for every hidden unit."""
        vectors(self.f, 0, self.shape.hidden, self.isa.f32_lanes, body)

    def _product(
        self,
        out: Buffer,
        row: Expr,
        first: int,
        columns: int,
        depth: int,
        x: Callable[[Expr], Expr],
        weight: Buffer,
        half: int,
    ) -> None:
        """out[row, first:][:columns] = bias half + sum over k of x(k) * weight[k, first:]."""
        lanes = self.isa.f32_lanes
        total = columns // lanes
        whole, rest = divmod(total, UNROLL)
        if whole:
            with self.f.serial(whole, "block") as block:
                start = first + block * (UNROLL * lanes)
                self._block(out, row, start, UNROLL, depth, x, weight, half)
        if rest:
            start = first + whole * UNROLL * lanes
            self._block(out, row, start, rest, depth, x, weight, half)

    def _block(
        self,
        out: Buffer,
        row: Expr,
        start: Expr,
        count: int,
        depth: int,
        x: Callable[[Expr], Expr],
        weight: Buffer,
        half: int,
    ) -> None:
        f, lanes, d = self.f, self.isa.f32_lanes, self.number
        acc = f.registers("acc", count, lanes, FLOAT)
        for i in range(count):
            acc.store(i, load(self.bias, (d, half, start + i * lanes), lanes))
        with f.serial(depth, "k") as k:
            value = splat(x(k), lanes)
            for i in range(count):
                w = load(weight, (d, k, start + i * lanes), lanes)
                acc.store(i, multiply_add(value, w, acc.load(i)))
        for i in range(count):
            f.store(out, acc.load(i), (row, start + i * lanes), lanes)

    def see(self, seen: Buffer, first: int, gates: int, x: Callable[[Expr], Expr]) -> None:
        """seen = recurrent bias + x times the recurrent weights of some gates."""
        width = self.width
        self._product(
            seen, 0, first * width, gates * width, self.shape.hidden, x, self.recurrent, 1
        )


@dataclass(frozen=True)
class _Cell:
    """One step of one sample: `row` of the input products, state h and c at `n`."""

    direction: _Direction
    entering: Buffer
    row: Expr
    seen: Buffer
    h: Buffer
    c: Buffer
    gated: Buffer
    n: Expr

    def units(self, body: Callable[[Expr], None]) -> None:
        """body(i) for every unit, vectorized, padding included."""
        d = self.direction
        vectors(d.f, 0, d.width, d.isa.f32_lanes, body)

    def entered(self, gate: int, i: Expr) -> Expr:
        """The input product of a gate."""
        return load(self.entering, (self.row, gate * self.direction.width + i))

    def seen_by(self, gate: int, i: Expr) -> Expr:
        """The recurrent product of a gate."""
        return load(self.seen, (0, gate * self.direction.width + i))

    def bounded(self, x: Expr) -> Expr:
        """x within the clip."""
        clip = self.direction.shape.clip
        return at_most(at_least(x, -clip), clip) if clip else x

    def hidden(self, k: Expr) -> Expr:
        """One element of the state."""
        return load(self.h, (self.n, k))

    def rnn(self) -> None:
        """h = activation(W x + R h + b)."""
        d = self.direction
        d.see(self.seen, 0, 1, self.hidden)
        tanh = d.shape.activation == "tanh"

        def unit(i: Expr) -> None:
            total = self.bounded(self.entered(0, i) + self.seen_by(0, i))
            d.f.store(self.h, math.tanh(total) if tanh else at_least(total, 0), (self.n, i))

        self.units(unit)

    def lstm(self) -> None:
        """Gates i, o, f, g; the cell first, then the output gate, which may look at it."""
        d, f = self.direction, self.direction.f
        d.see(self.seen, 0, 4, self.hidden)

        def gate(number_: int, i: Expr) -> Expr:
            total = self.entered(number_, i) + self.seen_by(number_, i)
            if d.peephole is not None and number_ < 3:
                weight = load(d.peephole, (d.number, 0, number_ * d.width + i))
                total = total + weight * load(self.c, (self.n, i))
            return self.bounded(total)

        def cell(i: Expr) -> None:
            old = load(self.c, (self.n, i))
            new = math.sigmoid(gate(0, i)) * math.tanh(gate(3, i))
            f.store(self.c, math.sigmoid(gate(2, i)) * old + new, (self.n, i))

        def output(i: Expr) -> None:
            value = math.sigmoid(gate(1, i)) * math.tanh(load(self.c, (self.n, i)))
            f.store(self.h, value, (self.n, i))

        self.units(cell)
        self.units(output)

    def gru(self) -> None:
        """Gates z, r, n; h = (1 - z) n + z h."""
        d, f = self.direction, self.direction.f
        d.see(self.seen, 0, 3 if d.shape.after else 2, self.hidden)

        def sigmoid(gate: int, i: Expr) -> Expr:
            return math.sigmoid(self.bounded(self.entered(gate, i) + self.seen_by(gate, i)))

        if not d.shape.after:
            self.units(
                lambda i: f.store(self.gated, sigmoid(1, i) * load(self.h, (self.n, i)), (0, i))
            )
            d.see(self.seen, 2, 1, lambda k: load(self.gated, (0, k)))

        def unit(i: Expr) -> None:
            seen = self.seen_by(2, i)
            seen = sigmoid(1, i) * seen if d.shape.after else seen
            new = math.tanh(self.bounded(self.entered(2, i) + seen))
            value = math.bind(
                sigmoid(0, i), lambda z: (number(1, z) - z) * new + z * load(self.h, (self.n, i))
            )
            f.store(self.h, value, (self.n, i))

        self.units(unit)
