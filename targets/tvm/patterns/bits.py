"""Layers on packed codes of one to three bits."""

from dataclasses import replace
from math import prod
from typing import ClassVar

from codesign.analysis.codes import digits, sums_codes
from codesign.analysis.estimate import LayerCost
from codesign.analysis.steps import MONOTONE, no_steps
from codesign.interpret.steps import steps
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.integer import Int
from codesign.ir.encodings.ternary import Ternary
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.graph import Graph, Node
from codesign.ir.program import Point
from codesign.ir.types import TensorType
from codesign.mapping.group import Group
from codesign.mapping.kernel import Layouts, Widths
from codesign.mapping.refusal import Refusal
from codesign.targets.tvm.chain import refuse_chain
from codesign.targets.tvm.contraction import bias_codes, finish, multiples, refuse_bias
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.emitted import Argument, Emitted
from codesign.targets.tvm.kernel import CpuKernel, default_point, from_point, padded, to_point
from codesign.targets.tvm.kernels import bits, conv_bits, int8_layout
from codesign.targets.tvm.kernels.bit_ends import BLOCKS, Codes, End, Whole
from codesign.targets.tvm.kernels.bit_sums import Factors, Sums, border
from codesign.targets.tvm.kernels.conv_bits import Problem
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.patterns.conv import conv_shape
from codesign.targets.tvm.storage import physical_bytes, physical_shape

MOST_WEIGHT_PLANES = 3
DEEPEST = 1 << 23  # products of few bits that a 32-bit accumulator surely holds, with a bias


def words(kind: TensorType) -> Tiled | None:
    """The packed layout of a value of codes of few bits; None if there is none for it."""
    form, axis = kind.grid, 1 if kind.rank > 2 else kind.rank - 1
    few = isinstance(form, Binary) or (
        isinstance(form, Int) and not form.signed and form.width <= bits.MOST_PLANES
    )
    if not few or form is None or form.axis is not None or not 2 <= kind.rank <= 4:
        return None
    return Tiled(axis, bits.channels(kind.shape[axis]), True)


def factors(group: Group) -> Factors | None:
    """How the anchor's operands are made of bits; None if they are not."""
    x, w = group.input_type(0), group.input_type(1)
    if (
        x is None
        or w is None
        or words(x) is None
        or not sums_codes(group.anchor, group.graph.types)
    ):
        return None
    ex, ew = x.grid, w.grid
    planes = 2 if isinstance(ew, Ternary) else 0 if ew is None else ew.code_bits
    if planes > MOST_WEIGHT_PLANES or (isinstance(ew, Int) and not ew.signed):
        return None
    if isinstance(ex, Int):
        zero = int(ex.zero.array)
        return Factors(ex.width, 1, -zero, isinstance(ew, Binary), planes)
    return Factors(1, 2, -1, isinstance(ew, Binary), planes)


class BitsKernel(CpuKernel):
    """Counts of bits in place of products of few bits."""

    name: ClassVar[str] = "bits"
    anchors: ClassVar[frozenset[str]] = frozenset({"conv", "linear"})
    widths: ClassVar[tuple[Widths, ...]] = ()
    efficiency: ClassVar[float] = 1.0
    rate: ClassVar[float] = 9.5

    def refuse(self, group: Group) -> Refusal | None:
        found = factors(group)
        if found is None or group.constant(1) is None:
            kinds = [group.input_type(i) for i in (0, 1)]
            return Refusal(
                "it multiplies activations and constant weights of one to three bits",
                " and ".join(map(str, kinds)),
            )
        shape = _shape(group)
        if shape is None or shape.groups > 1 or len(shape.spatial) > 2:
            return Refusal("one group over one or two axes, or a matrix", f"this is {shape}")
        if 0 in (shape.n, *shape.spatial, *shape.out_spatial, shape.oc, shape.ic):
            return Refusal("it has pixels and channels", f"this is {shape}")
        if shape.ic * prod(shape.kernel) << digits(group.anchor, group.graph.types) > DEEPEST:
            return Refusal(f"sums of at most {DEEPEST} products fit 32 bits", f"this is {shape}")
        return refuse_bias(group, True) or self._refuse_end(group)

    def _refuse_end(self, group: Group) -> Refusal | None:
        if wanted(group, group.outputs[0]):
            return Refusal("its result has a byte or more for each channel", "this one is packed")
        return refuse_chain(group)

    def demand(self, kind: TensorType) -> Tiled | None:
        """The layout of results."""
        return loose(kind)

    def layouts(self, group: Group) -> Layouts | None:
        demand: dict[str, Tiled | None] = {}
        for value in group.variables:
            kind = group.type(value)
            demand[value] = loose(kind) if kind.rank == group.output_type.rank else None
        x = group.input(0)
        assert x is not None
        out = {value: self.demand(group.type(value)) for value in group.outputs}
        return demand | {x: words(group.type(x))} | out

    def problem(self, group: Group) -> Problem:
        """The anchor as the kernel sees it."""
        shape, found = _shape(group), factors(group)
        assert shape is not None and found is not None
        return Problem(shape, found, self.channels(shape.oc), group.anchor.kind == "linear")

    def channels(self, count: int) -> int:
        """Physical channels of a result of `count`."""
        return int8_layout.channels(count)

    def cost(self, group: Group, point: Point) -> LayerCost:
        """Counts at the rate of the instructions; a byte or word of what is read and written."""
        problem, machine = self.problem(group), self.machine
        planes = problem.factors.planes * problem.factors.weight_planes
        padding = padded(problem.shape.ic, bits.WORD) * padded(problem.shape.oc, 16)
        counts = machine.peak_counts(self.isa) * self.efficiency
        arithmetic = group.macs * planes * padding / counts
        moved = sum(physical_bytes(group.type(v)) for v in (*group.variables, *group.outputs))
        moved += prod(problem.shape.weight) * problem.factors.weight_planes // 8
        found = layer_cost(machine, self.isa, self.name, group, arithmetic, moved, self.rate)
        return replace(found, utilization=arithmetic * self.efficiency * 1e-6 / found.latency_ms)

    def default(self, group: Group) -> Point:
        return default_point(conv_bits, self.problem(group), self.isa)

    def space(self, group: Group) -> list[Point]:
        return [to_point(p) for p in conv_bits.space(self.problem(group), self.isa)]

    def emit(self, group: Group, point: Point) -> Emitted:
        problem, schedule = self.problem(group), from_point(conv_bits.Point, point)
        x, weight = group.input(0), multiples(group)
        assert x is not None
        end, arguments = self.end(group, problem, weight)
        if isinstance(end, Codes) and end.one_sign and schedule.blocks == BLOCKS:
            end = replace(end, lanes=self.isa.vector_bits // bits.WORD)
        content = conv_bits.pack_weight(weight, problem, self.isa, schedule, end.order)
        out = physical_shape(group.output_type)
        return Emitted(
            lambda name: conv_bits.emit(name, problem, self.isa, schedule, end, out),
            (x, content, *end.constants, *arguments, *group.outputs),
        )

    def end(self, group: Group, problem: Problem, weight: Sums) -> tuple[End, list[Argument]]:
        """What becomes of the counts, and the arguments of an epilogue."""
        fine = digits(group.anchor, group.graph.types)
        epilogue, arguments = finish(group, self.isa, problem.channels, bias_codes(group))
        at_edge = border(problem.plane, problem.factors, weight)
        centre, width = problem.factors.centre(weight), problem.channels
        return Whole(problem.factors, centre, epilogue, width, at_edge, fine), arguments


class BitsThreshold(BitsKernel):
    """The same up to packed codes of few bits, with all that lies between as thresholds."""

    name: ClassVar[str] = "bits-threshold"

    def reach(self, group: Group) -> Group:
        """With what follows up to packed codes, batch norms too, if all of it is thresholds."""
        if factors(group) is None:
            return group
        longer = group
        while (node := group.graph.only_use(longer.outputs[0])) and node.kind in MONOTONE:
            longer = longer.extended(node)
            if node.kind == "encode":
                return longer if _packs(longer) else group
        return group

    def _refuse_end(self, group: Group) -> Refusal | None:
        if _packs(group):
            return None
        why = no_steps(group.graph, group.anchor, group.chain)
        return Refusal("it ends in packed codes by thresholds", why or "no layer reads such")

    def demand(self, kind: TensorType) -> Tiled | None:
        return words(kind)

    def channels(self, count: int) -> int:
        return bits.channels(count)

    def end(self, group: Group, problem: Problem, weight: Sums) -> tuple[End, list[Argument]]:
        found = steps(group.graph, group.anchor, group.chain)
        centre = problem.factors.centre(weight)
        at_edge = border(problem.plane, problem.factors, weight)
        return Codes(problem.factors, centre, found, problem.channels, at_edge), []


def loose(kind: TensorType) -> Tiled | None:
    """The layout of a byte or more for each channel, channels last; None: the plain one is that."""
    axis = 1 if kind.rank > 2 else kind.rank - 1
    width = int8_layout.channels(kind.shape[axis])
    return None if kind.rank < 3 and width == kind.shape[axis] else Tiled(axis, width)


def _packs(group: Group) -> bool:
    """True if the chain gives packed codes by thresholds."""
    one = len(group.outputs) == 1
    return (
        one
        and wanted(group, group.outputs[0])
        and not no_steps(group.graph, group.anchor, group.chain)
    )


def wanted(group: Group, value: str) -> bool:
    """True if codes of few bits should be packed: signs, or some layer reads them packed."""
    kind = group.type(value)
    if words(kind) is None:
        return False
    if kind.layout is not None:
        return kind.layout.packed
    if isinstance(kind.grid, Binary):
        return True
    return any(_reads(group.graph, node) for node in group.graph.consumers[value])


def _reads(graph: Graph, node: Node) -> bool:
    """True if a layer reads the packed codes that `node` reads, or their maximum."""
    if node.kind == "max_pool" and len(node.outputs) == 1:
        same = graph.types[node.name].grid == graph.types[node.operands[0]].grid
        return same and any(_reads(graph, after) for after in graph.consumers[node.name])
    return node.kind in BitsKernel.anchors and factors(Group(graph, (node,))) is not None


def _shape(group: Group) -> ConvShape | None:
    """The anchor as a convolution; a matrix product has its rows as pixels."""
    if group.anchor.kind == "conv":
        return conv_shape(group, bits.WORD)
    x, w = group.input_type(0), group.input_type(1)
    assert x is not None and w is not None
    if x.rank != 2:
        return None
    one = (1,)
    return ConvShape(1, w.shape[1], w.shape[0], (x.shape[0],), one, one, ((0, 0),), one)
