"""Binary layers on the shared engine; everything else on the core beside it."""

from typing import Any, ClassVar

import numpy as np

from codesign.analysis.estimate import LayerCost
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops import OPS
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Layouts
from codesign.mapping.refusal import Refusal
from codesign.targets.xnor.compute import Computer, windows
from codesign.targets.xnor.content import columns_of
from codesign.targets.xnor.layer import Fold, Layer, layer_of
from codesign.targets.xnor.maps import maps, streamed
from codesign.targets.xnor.shared.machine import (
    THRESHOLD_BITS,
    Shared,
    blocks,
    taps_of,
    work,
)
from codesign.targets.xnor.stages import Stage, stages

Array = np.ndarray


def _one_bit(form: Grid | None) -> bool:
    """Whether inputs are signs, or 0 and 1: to the engine both are signs.

    With x = (1 + b) / 2 the sum of w x is half that of w b, and of w, a constant of the channel
    that thresholds take in; padding with 0 is then padding with b = -1.
    """
    if isinstance(form, Int):
        return form.width == 1 and not form.signed and form.symmetric
    return isinstance(form, Binary)


def shared_stage(graph: Graph, name: str) -> Stage | Refusal:
    """A layer with its thresholds where all codes behind it have one bit, else its sums alone.

    Of sums the core makes what is wanted, codes of more bits too.
    """
    stage = stages(graph)[name]
    if isinstance(stage, Refusal) or stage.kind != "layer":
        return stage
    bits = [form.code_bits for h in stage.heads if (form := graph.types[h.value].grid) is not None]
    if stage.pool is None and all(b == 1 for b in bits):
        return stage
    return Stage("layer", (stage.anchor,), (), True)


class Xnor(Kernel):
    """A conv or linear layer of signs by signs: XNOR, count, compare."""

    name: ClassVar[str] = "xne"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "linear"})

    def __init__(self, machine: Shared) -> None:
        self.machine = machine

    def reach(self, group: Group) -> Group:
        stage = shared_stage(group.graph, group.anchor.name)
        return Group(group.graph, stage.nodes) if isinstance(stage, Stage) else group

    def refuse(self, group: Group) -> Refusal | None:
        stage = shared_stage(group.graph, group.anchor.name)
        if isinstance(stage, Refusal):
            return stage
        if group.names != tuple(node.name for node in stage.nodes):
            names = ", ".join(f"%{node.name}" for node in stage.nodes)
            return Refusal(f"%{group.name} with other ops", f"the engine runs {names} as one")
        forms = [group.graph.types[v].grid for v in stage.anchor.operands[:2]]
        if not (_one_bit(forms[0]) and isinstance(forms[1], Binary)):
            shown = " by ".join(str(form) for form in forms)
            return Refusal(
                f"%{group.name} multiplies {shown}",
                "the engine multiplies one bit by signs",
                "binarize its inputs and weights, or leave it to the core",
            )
        return self._sums(self.layer(group))

    def _sums(self, layer: Layer) -> Refusal | None:
        most = (1 << (self.machine.accumulator - 1)) - 1
        if layer.columns <= most:
            return None
        return Refusal(
            f"sums of {layer.columns} signs",
            f"accumulators of {self.machine.accumulator} b hold {most}",
            "split the layer by its inputs",
            f"{layer.columns - most} too many",
        )

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def layer(self, group: Group) -> Layer:
        """The layer that `group` is."""
        stage = shared_stage(group.graph, group.anchor.name)
        assert isinstance(stage, Stage)
        return layer_of(group.graph, stage)

    def cost(self, group: Group, point: Point) -> LayerCost:
        layer, machine, batch = self.layer(group), self.machine, group.anchor_type.shape[0]
        spent = work(layer, machine)
        energy = batch * spent.products * machine.lanes * 2 * machine.op / 1e6
        bits = sum(level or THRESHOLD_BITS for level in layer.levels)
        return LayerCost(
            name=group.name,
            op=group.anchor.kind,
            kernel=self.name,
            macs=group.macs,
            latency_ms=batch * spent.cycles / machine.clock * 1e3,
            cycles=float(batch * spent.cycles),
            utilization=group.macs / (batch * spent.cycles * machine.lanes),
            bound="weights",
            energy_uj=energy,
            traffic_bytes={
                "weights": batch * spent.products * machine.lanes // 8,
                "inputs": batch * spent.load * machine.lanes // 8,
                "outputs": batch * layer.vectors * layer.rows * bits // 8,
            },
            energy_parts_uj={"mac": energy},
        )

    def explained(self, group: Group, point: Point) -> dict[str, Any]:
        layer, machine = self.layer(group), self.machine
        spent, (taps, inputs) = work(layer, machine), taps_of(layer)
        nest = [
            f"for block in {len(blocks(layer.rows, machine.lanes))} of output channels",
            f"  for pixel in {layer.vectors}",
            f"    for tap in {taps}",
            f"      for inputs in {len(blocks(inputs, machine.lanes))} of {machine.lanes}",
            f"        for output channel of the block: {machine.lanes} products",
        ]
        busy = {"products": spent.products, "inputs": spent.load, "results": spent.write}
        return {
            "loop_nest": nest,
            "cycles": float(spent.cycles),
            "bound": "products",
            "waiting": 0.0,
            "waits": [],
            "busy_cycles": {**busy, "thresholds": spent.thresholds},
            "energy_uj": {},
            "doubled": [],
        }


class Core(Kernel):
    """Any op that is no binary layer: left to the core, at no cost that is counted."""

    name: ClassVar[str] = "core"
    anchors: ClassVar[frozenset[str]] = frozenset(OPS)

    def __init__(self, engine: Xnor) -> None:
        self.engine = engine

    def refuse(self, group: Group) -> Refusal | None:
        if group.anchor.kind not in Xnor.anchors:
            return None
        wide = self.engine.reach(Group(group.graph, (group.anchor,)))
        if self.engine.refuse(wide) is None:
            return Refusal(f"%{group.name} multiplies signs", "the engine beside the core does")
        return None

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        kind = group.anchor.kind
        return LayerCost(group.name, kind, self.name, 0, 0.0, 0.0, 0.0, "core", energy_uj=0.0)


class Blocked(Computer):
    """A binary layer as the shared engine sums it: tap by tap, block of inputs by block."""

    def __init__(self, graph: Graph, stage: Stage, machine: Shared) -> None:
        from codesign.targets.xnor.content import matrix_of

        layer = layer_of(graph, stage)
        super().__init__(graph, stage, None, matrix_of(graph, stage, Fold(1, layer.columns)))
        self.lanes, self.columns = machine.lanes, columns_of(graph, stage.anchor)

    def summed(self, layer: Layer, given: Array) -> Array:
        """int64 [N, vectors, rows] of [N, vectors, columns] signs, 0 where there is padding."""
        taps, inputs = taps_of(layer)
        cut = given.reshape(*given.shape[:2], taps, inputs)
        weights = self.columns.reshape(layer.rows, taps, inputs)
        sums = np.zeros((*given.shape[:2], layer.rows), np.int64)
        for tap in range(taps):
            for first in range(0, inputs, self.lanes):
                part = slice(first, first + self.lanes)
                left = cut[:, :, tap, part].astype(np.float64)
                sums += (left @ weights[:, tap, part].T.astype(np.float64)).astype(np.int64)
        return sums

    def run(self, codes: list[Array]) -> dict[str, Array]:
        graph, stage = self.graph, self.stage
        layer, name = layer_of(graph, stage), stage.anchor.name
        form = graph.types[stage.anchor.operands[0]].grid
        assert form is not None
        given = streamed(form.multiples(codes[0]), maps(graph)[stage.anchor.operands[0]])
        window = layer.windowed(layer.map.channels)
        if window is not None:
            given, _ = windows(window, given)
        sums = self.summed(layer, given.reshape(given.shape[0], layer.vectors, layer.columns))
        return self.finished(sums, name)
