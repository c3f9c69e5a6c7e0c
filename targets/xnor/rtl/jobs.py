"""What the shared engine does, layer after layer: extents of loops, words of its memories."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from codesign.errors import RefusedError
from codesign.interpret.steps import Steps
from codesign.ir.encodings.binary import Binary
from codesign.ir.program import Program
from codesign.targets.xnor.content import columns_of, matrix_of
from codesign.targets.xnor.engine import Map, Window
from codesign.targets.xnor.layer import Fold, Layer, layer_of
from codesign.targets.xnor.rtl.parts import pack
from codesign.targets.xnor.shared.kernel import shared_stage
from codesign.targets.xnor.shared.machine import THRESHOLD_BITS, Shared, blocks, taps_of, work
from codesign.targets.xnor.stages import Stage

if TYPE_CHECKING:
    from codesign.targets.xnor.shared.target import Xne

MOST = (1 << (THRESHOLD_BITS - 2)) - 2  # inputs of a channel whose thresholds leave a bit free


@dataclass(frozen=True)
class Job:
    """A layer. `weights` int64 [rows, columns] signs, `steps` of each head of codes.

    `zeros` says that inputs are 0 and 1, which the engine reads as -1 and +1.
    """

    layer: Layer
    machine: Shared
    weights: np.ndarray
    steps: tuple[Steps, ...]
    zeros: bool

    @cached_property
    def window(self) -> Window:
        """The loops over pixels and taps; a word of `lanes` inputs is a chunk."""
        given, (_, inputs) = self.layer.window, taps_of(self.layer)
        padded = -(-inputs // self.machine.lanes)
        if given is None:
            return Window("", (), (), Map(padded, 1, self.layer.vectors))
        map_ = Map(padded, given.map.height, given.map.width)
        return Window("", (), (), map_, given.kernel, given.strides, given.pads, given.dilations)

    @property
    def inputs(self) -> int:
        """Inputs of a tap."""
        return taps_of(self.layer)[1]

    @property
    def sizes(self) -> list[int]:
        """Output channels of each block."""
        return blocks(self.layer.rows, self.machine.lanes)

    @property
    def cycles(self) -> int:
        """Cycles of the model."""
        return work(self.layer, self.machine).cycles

    def weight_words(self) -> list[int]:
        """By block, tap, inputs, output channel."""
        lanes, words = self.machine.lanes, []
        taps, inputs = taps_of(self.layer)
        cut = (self.weights > 0).reshape(self.layer.rows, taps, inputs)
        for first in range(0, self.layer.rows, lanes):
            rows = cut[first : first + lanes]
            for tap in range(taps):
                for low in range(0, inputs, lanes):
                    words += [pack(row[tap, low : low + lanes], 1) for row in rows]
        return words

    def threshold_words(self) -> list[int]:
        """By block, head: 16 bits a channel, the highest of them if the sum counts negated."""
        lanes, words = self.machine.lanes, []
        for first in range(0, self.layer.rows, lanes):
            for steps in self.steps:
                values = [self._threshold(steps, c) for c in range(first, self.layer.rows)[:lanes]]
                bits, count = pack(values, THRESHOLD_BITS), len(values) * THRESHOLD_BITS
                words += [bits >> low & ((1 << lanes) - 1) for low in range(0, count, lanes)]
        return words

    def _threshold(self, steps: Steps, channel: int) -> int:
        sign, least = int(steps.signs[channel]), int(steps.thresholds[channel, 0])
        if self.zeros:  # of x = (1 + b) / 2 the sum is half that of b and of all weights
            least = 2 * least - sign * int(self.weights[channel].sum())
        least = int(np.clip(least, -self.layer.columns, self.layer.columns + 1))
        return pack([least], THRESHOLD_BITS - 1) | (sign < 0) << (THRESHOLD_BITS - 1)


def jobs_of(placed: Program, target: "Xne") -> dict[str, Job]:
    """The layers on the engine, by name; RefusedError if its thresholds are too narrow for one."""
    found = {}
    for assignment in placed.placement:
        if assignment.kernel != "xne":
            continue
        stage = shared_stage(placed.graph, assignment.nodes[0])
        assert isinstance(stage, Stage)
        layer = layer_of(placed.graph, stage)
        if layer.columns > MOST:
            raise RefusedError(
                f"%{layer.name} adds {layer.columns} signs, but a threshold of {THRESHOLD_BITS} "
                f"bits, one of them for its direction, goes up to {MOST}; split it by its inputs"
            )
        node = stage.anchor
        held = matrix_of(placed.graph, stage, Fold(1, layer.columns))
        zeros = not isinstance(placed.graph.types[node.operands[0]].grid, Binary)
        weights = columns_of(placed.graph, node)
        found[layer.name] = Job(layer, target.engine, weights, held.steps, zeros)
    return found
