"""What engines run, stage by stage, and what is left to the host before and behind them."""

from typing import Any, ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.errors import RefusedError
from codesign.ir.graph import Graph
from codesign.ir.ops import OPS
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Layouts, Widths
from codesign.mapping.refusal import Refusal
from codesign.targets.xnor.device import Device
from codesign.targets.xnor.fold import STYLES, Unfit, divisors, option, unfit
from codesign.targets.xnor.layer import Fold, Layer, layer_of
from codesign.targets.xnor.stages import MULTIPLY, Kind, Stage, stages

OFFERED: tuple[Widths, ...] = ((2, 2), (4, 4), (8, 8))  # integers; binary and ternary ones besides
ELEMENTWISE = frozenset(k for k, op in OPS.items() if op.elementwise) | {"batch_norm"}
NOT_BETWEEN = "the host works before the first layer and behind the last, not between them"


class Staged(Kernel):
    """One or a few engines in a row for a stage of the graph."""

    kinds: ClassVar[frozenset[Kind]]

    def __init__(self, device: Device) -> None:
        self.device = device

    def reach(self, group: Group) -> Group:
        stage = stages(group.graph)[group.anchor.name]
        if isinstance(stage, Stage) and stage.kind in self.kinds:
            return Group(group.graph, stage.nodes)
        return group

    def refuse(self, group: Group) -> Refusal | None:
        stage = stages(group.graph)[group.anchor.name]
        if isinstance(stage, Refusal):
            return stage
        names = tuple(node.name for node in stage.nodes)
        if stage.kind not in self.kinds or group.names != names:
            with_ = ", ".join(f"%{name}" for name in names)
            return Refusal(f"%{group.name} as a part of {with_}", "these run as one, not apart")
        return self._too_large(group.graph, stage)

    def _too_large(self, graph: Graph, stage: Stage) -> Refusal | None:
        return None

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        cycles = float(self.cycles(group, point))
        return LayerCost(
            name=group.name,
            op=group.anchor.kind,
            kernel=self.name,
            macs=group.macs,
            latency_ms=cycles / self.device.clock * 1e3,
            cycles=cycles,
            utilization=1.0,
            bound="compute",
        )

    def cycles(self, group: Group, point: Point) -> int:
        """Cycles of a stage alone: an element a cycle."""
        return max(group.type(v).size for v in (*group.variables, *group.outputs))


class MatrixUnit(Staged):
    """A sliding window and a matrix unit with thresholds: a conv or linear layer on codes."""

    name: ClassVar[str] = "mvtu"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "linear"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"layer"})
    widths: ClassVar[tuple[Widths, ...]] = OFFERED

    def _too_large(self, graph: Graph, stage: Stage) -> Refusal | None:
        layer = layer_of(graph, stage)
        lacks = min(
            (unfit(option(layer, Fold(1, 1, style)).area, self.device) for style in STYLES),
            key=len,
        )
        return no_room(f"%{layer.name} in its smallest folding", lacks, self.device)

    def default(self, group: Group) -> Point:
        layer = self.layer(group)
        few = [max(d for d in divisors(n) if d <= 8) for n in (layer.rows, layer.columns)]
        return to_point(Fold(few[0], few[1]))

    def layer(self, group: Group) -> Layer:
        """The layer that `group` is."""
        stage = stages(group.graph)[group.anchor.name]
        assert isinstance(stage, Stage)
        return layer_of(group.graph, stage)

    def cycles(self, group: Group, point: Point) -> int:
        batch = group.anchor_type.shape[0]
        return batch * option(self.layer(group), from_point(point)).cycles

    def explained(self, group: Group, point: Point) -> dict[str, Any]:
        from codesign.targets.xnor.explain import explained

        return explained(self.layer(group), from_point(point), self.device)


class PoolUnit(Staged):
    """A maximum of windows of codes, or the mean of whole maps."""

    name: ClassVar[str] = "pool"
    anchors: ClassVar[frozenset[str]] = frozenset({"max_pool", "avg_pool", "reduce_mean"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"pool", "mean"})


class Adder(Staged):
    """The sum of two maps of integer codes."""

    name: ClassVar[str] = "adder"
    anchors: ClassVar[frozenset[str]] = frozenset({"add"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"add"})


class LookUp(Staged):
    """A chain of element-wise ops from codes to codes: a table of codes."""

    name: ClassVar[str] = "table"
    anchors: ClassVar[frozenset[str]] = ELEMENTWISE
    kinds: ClassVar[frozenset[Kind]] = frozenset({"table"})


class Wire(Staged):
    """An op that changes the shape alone: nothing to do in a stream."""

    name: ClassVar[str] = "wire"
    anchors: ClassVar[frozenset[str]] = frozenset({"flatten", "reshape", "squeeze", "expand_dims"})
    kinds: ClassVar[frozenset[Kind]] = frozenset({"wire"})

    def cycles(self, group: Group, point: Point) -> int:
        return 0


class Host(Kernel):
    """Any op before the first layer or behind the last, at no cost that is counted."""

    name: ClassVar[str] = "host"
    anchors: ClassVar[frozenset[str]] = frozenset(OPS)

    def refuse(self, group: Group) -> Refusal | None:
        if group.anchor.kind in MULTIPLY or group.macs:
            return Refusal(f"{group.anchor.kind} multiplies", "the host does not")
        within = between(group.graph)
        inside = [node for node in group.nodes if node.name in within]
        if inside:
            return Refusal(
                f"{inside[0].kind} %{inside[0].name} stands between layers",
                NOT_BETWEEN,
                "between layers there may be thresholds, sums and pools of codes alone",
            )
        return None

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        kind = group.anchor.kind
        return LayerCost(group.name, kind, self.name, 0, 0.0, 0.0, 0.0, "host", energy_uj=0.0)


def between(graph: Graph) -> frozenset[str]:
    """The nodes with a layer both before and behind them; a graph is frozen: it is asked once."""
    found: frozenset[str] | None = graph.__dict__.get("_xnor_between")
    if found is None:
        behind, before = set[str](), set[str]()
        for node in graph.nodes:
            if node.kind in MULTIPLY or behind.intersection(node.operands):
                behind.update(node.outputs)
        for node in reversed(graph.nodes):
            if node.kind in MULTIPLY or before.intersection(node.outputs):
                before.update(node.operands)
        names = {n.name for n in graph.nodes if n.kind not in MULTIPLY}
        found = frozenset(
            n for n in names if n in behind and before.intersection(graph.by_name[n].outputs)
        )
        graph.__dict__["_xnor_between"] = found
    return found


def no_room(what: str, lacks: list[Unfit], device: Device) -> Refusal | None:
    """What a design takes too much of, as data."""
    if not lacks:
        return None
    worst = lacks[0]
    levers = {
        "bram18": "fewer or narrower weights (binarize, prune channels), weights in LUTs",
        "dsp": "codes of at most 4 bits, whose products are LUTs",
    }.get(worst.resource, "narrower weights and inputs (binarize), a smaller network")
    return Refusal(
        f"{what} takes {worst.taken} {worst.resource}",
        f"{device.name} has {worst.room} for it",
        f"{levers}, or a larger device",
        f"{worst.over} too many",
    )


def to_point(fold: Fold) -> Point:
    """A folding as the schedule of a kernel."""
    return ("pe", fold.pe), ("simd", fold.simd), ("memory", fold.style)


def from_point(point: Point) -> Fold:
    """The folding that a schedule is; RefusedError if it is none."""
    given = dict(point)
    pe, simd, style = (given.get(key) for key in ("pe", "simd", "memory"))
    if isinstance(pe, int) and isinstance(simd, int) and style in STYLES:
        return Fold(pe, simd, style)
    raise RefusedError(f"{given} is no folding, expected pe, simd and memory (block, distributed)")


KERNELS = (MatrixUnit, PoolUnit, Adder, LookUp, Wire)
