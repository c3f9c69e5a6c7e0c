"""What an array of elements runs, and what is left to the host."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.cost.candidates import Candidates
from codesign.cost.evaluate import Costs, evaluate
from codesign.errors import RefusedError
from codesign.ir.ops import OPS
from codesign.ir.program import Point
from codesign.machine.load import parse_machine
from codesign.machine.machine import Machine
from codesign.mapping.gap import NoMappingError
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Layouts
from codesign.mapping.mapper import Found, search
from codesign.mapping.refusal import Refusal
from codesign.targets.spatial.explain import explained
from codesign.targets.spatial.layer import Layer, layer_of, layers_of, stated_of
from codesign.targets.spatial.merge import densified
from codesign.targets.spatial.pace import bound
from codesign.targets.spatial.point import from_point, groups_of, to_point
from codesign.targets.spatial.simulate.operands import Operands
from codesign.targets.spatial.simulate.run import Run, simulate
from codesign.targets.spatial.target import MULTIPLY

RECURRENT = frozenset({"rnn", "lstm", "gru"})
UNROLL = (
    "write the steps out before the model is exported, as torch.nn.RNNCell, LSTMCell or GRUCell in "
    "a loop do: their products are linear layers, which map and get codes"
)


@dataclass(frozen=True)
class Given:
    """What a search starts from: the text of a machine file, and what is wanted of it."""

    text: str
    objective: str
    seconds: float

    @property
    def machine(self) -> Machine:
        """The machine."""
        return _machine(self.text)

    @property
    def aims(self) -> Sequence[str] | None:
        """Aims of the search, None for those of the machine's own policy."""
        if self.objective == "machine":
            return None
        others = [aim for aim in ("latency", "energy") if aim != self.objective]
        return (self.objective, *others)


@lru_cache(maxsize=64)
def _machine(text: str) -> Machine:
    return parse_machine(text)


@lru_cache(maxsize=4096)
def mapped(layer: Layer, given: Given) -> Found | Refusal:
    """The best mapping of a layer, or why there is none; equal layers are searched for once."""
    machine = given.machine
    try:
        return search(
            layer.problem, machine, layer.widths, layer.densities, given.aims, given.seconds
        )
    except NoMappingError as error:
        return error.refusal
    except RefusedError as error:
        return Refusal(f"the loops are {_loops(layer)}", str(error))


@lru_cache(maxsize=4096)
def priced(layer: Layer, given: Given, point: Point) -> Costs:
    """What a layer costs with the mapping of `point`."""
    one = Candidates.of(layer.problem, given.machine, from_point(point))
    return evaluate(one, layer.widths, layer.densities)


class Mapped(Kernel):
    """A layer of multiplications on the array, element-wise ops as its results leave."""

    name: ClassVar[str] = "mapped"
    anchors: ClassVar[frozenset[str]] = MULTIPLY

    def __init__(self, given: Given, densities: Mapping[str, float]) -> None:
        self.given, self.densities = given, densities

    def refuse(self, group: Group) -> Refusal | None:
        best = self._best(group)
        return best if isinstance(best, Refusal) else None

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        best = self._best(group)
        if isinstance(best, Refusal):
            raise RefusedError(f"%{group.name}: {best}")
        return to_point(best[1].schedule, best[0].groups)

    def _best(self, group: Group) -> tuple[Layer, Found] | Refusal:
        """The better of the ways to run `group`, with its mapping."""
        layers = layers_of(group, self.given.machine, self.densities)
        if isinstance(layers, Refusal):
            return layers
        tried = [(layer, mapped(layer, self.given)) for layer in layers]
        good = [(layer, found) for layer, found in tried if not isinstance(found, Refusal)]
        if not good:
            why = tried[0][1]
            assert isinstance(why, Refusal)
            return why
        return min(good, key=lambda one: one[1].mark)

    def cost(self, group: Group, point: Point) -> LayerCost:
        layer, machine = self._layer(group, point), self.given.machine
        costs = priced(layer, self.given, point)
        cycles, energy = float(costs.latency[0]), float(costs.picojoules[0])
        parts = machine.datapath.parts(layer.widths.input, layer.widths.weight)
        macs = layer.problem.macs * layer.densities.useful(machine.datapath.skip) / layer.groups
        moved = {
            m.name: int(costs.read[m.name][0] + costs.written[m.name][0]) // 8
            for m in machine.memories
        }
        return LayerCost(
            name=group.name,
            op=group.anchor.kind,
            kernel=self.name,
            macs=group.macs,
            latency_ms=cycles / machine.clock * 1e3,
            cycles=cycles,
            utilization=min(1.0, macs / (cycles * machine.elements * parts)),  # but for rounding
            bound=bound(machine, costs),
            energy_uj=energy / 1e6,
            traffic_bytes=moved,
            energy_parts_uj={name: float(pj[0]) / 1e6 for name, pj in costs.energy.items()},
        )

    def simulate(self, group: Group, point: Point, operands: Operands) -> Run:
        """Run the layer of `group` by its mapping on codes; RefusedError as `simulate` says."""
        layer, machine = self._layer(group, point), self.given.machine
        stated, unfold = stated_of(group, machine, layer.groups)
        if layer.groups > 1:
            weight = densified(operands.weight, group.anchor.op, layer.groups)
            operands = replace(operands, weight=weight)
        return simulate(stated, machine, from_point(point), layer.widths, operands, unfold)

    def explained(self, group: Group, point: Point) -> dict[str, Any]:
        """The mapping of `group` in words, and what more of each resource would buy."""
        given = self.given
        layer, schedule = self._layer(group, point), from_point(point)
        return explained(layer, given.machine, schedule, given.aims, given.seconds)

    def _layer(self, group: Group, point: Point) -> Layer:
        found = layer_of(group, self.given.machine, self.densities, groups_of(point))
        if isinstance(found, Refusal):
            raise RefusedError(f"%{group.name}: {found}")
        return found


def _loops(layer: Layer) -> str:
    return ", ".join(f"{loop} {bound}" for loop, bound in layer.problem.bounds)


class Host(Kernel):
    """Any op that is no layer of multiplications: left to the host, at no cost that is counted."""

    name: ClassVar[str] = "host"
    anchors: ClassVar[frozenset[str]] = frozenset(OPS)

    def refuse(self, group: Group) -> Refusal | None:
        if group.anchor.kind in MULTIPLY or group.macs:
            kind, taken = group.anchor.kind, ", ".join(sorted(MULTIPLY))
            return Refusal(
                f"{kind} multiplies",
                f"the host does not; the array does, in {taken}",
                UNROLL if kind in RECURRENT else "",
            )
        return None

    def layouts(self, group: Group) -> Layouts:
        return dict.fromkeys((*group.variables, *group.outputs))

    def default(self, group: Group) -> Point:
        return ()

    def cost(self, group: Group, point: Point) -> LayerCost:
        kind = group.anchor.kind
        return LayerCost(group.name, kind, self.name, 0, 0.0, 0.0, 0.0, "host", energy_uj=0.0)
