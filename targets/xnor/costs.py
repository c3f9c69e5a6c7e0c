"""What each stage of a streaming design costs, and the whole.

All engines work at once. The time of an image is that from its first word to its last result, in
an empty design; a stage's part of it is by how much its last step is later than that of all before
it, so that the parts add up. Of a batch, one image follows another at the design's interval, and
that is put down to the slowest stage. Energy is that of an image in a stream of them: of the LUTs
and blocks of a stage, all the time of an interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.ir.program import Assignment, Program
from codesign.mapping.group import Group
from codesign.targets.xnor.area import Area, area, fifo
from codesign.targets.xnor.engine import Design, Engine, Mvtu, interval
from codesign.targets.xnor.kernel import Host
from codesign.targets.xnor.timing import Times, timed

if TYPE_CHECKING:
    from codesign.targets.xnor.target import Finn


@dataclass(frozen=True)
class Costs:
    """A design with its times, by the stages that own its engines."""

    design: Design
    times: Times

    @cached_property
    def owned(self) -> Mapping[str, list[Engine]]:
        """Engines by the anchor of their stage; "": from and to the host."""
        found: dict[str, list[Engine]] = {}
        for engine, owner in zip(self.design.engines, self.design.owners, strict=True):
            found.setdefault(owner, []).append(engine)
        return found

    @property
    def slowest(self) -> Engine:
        """The engine that paces all others."""
        return max(self.design.engines, key=interval)

    def owner(self, engine: Engine) -> str:
        """The stage of an engine."""
        return self.design.owners[self.design.engines.index(engine)]

    def cycles(self, owner: str) -> int:
        """Cycles an image of the slowest engine of a stage."""
        return max((interval(e) for e in self.owned.get(owner, ())), default=0)

    def products(self, owner: str) -> int:
        """Cycles an image in which the matrix unit of a stage multiplies; 0 if it has none."""
        return sum(e.cycles for e in self.owned.get(owner, ()) if isinstance(e, Mvtu))

    def bound(self, owner: str) -> str:
        """Which engine of a stage takes longest."""
        slow = max(self.owned[owner], key=lambda e: (interval(e), isinstance(e, Mvtu)))
        return "compute" if isinstance(slow, Mvtu) else slow.kind

    def taken(self, owner: str) -> Area:
        """What the engines of a stage and the FIFOs behind them take."""
        streams, found = self.design.by_stream, Area()
        for engine in self.owned.get(owner, ()):
            found += area(engine)
            for name in engine.outputs:
                found += fifo(streams[name])
        return found

    def moved(self, owner: str) -> dict[str, int]:
        """Bytes an image: words into the engines of a stage, and weights read."""
        streams, bits, weights = self.design.by_stream, 0, 0
        for engine in self.owned.get(owner, ()):
            bits += sum(streams[n].words * streams[n].width for n in engine.inputs)
            if isinstance(engine, Mvtu):
                weights += engine.vectors * engine.rows * engine.columns * engine.weight_bits
        return {"streams": bits // 8, "weights": weights // 8}


def costs_of(program: Program, target: "Finn") -> Costs:
    """The design of a placed program and its times."""
    design = target.design(program)
    return Costs(design, timed(design))


def estimate(program: Program, target: "Finn") -> Estimate:
    """The cost of each assignment of a placed program."""
    from codesign.targets.xnor.remarks import remarks

    if not target.stages(program):
        return Estimate(tuple(_host(program, a) for a in program.placement))
    costs = costs_of(program, target)
    shares = _shares(program, costs)
    layers = tuple(
        _host(program, a)
        if a.kernel == Host.name
        else _staged(program, target, a, costs, shares[a.nodes[0]])
        for a in program.placement
    )
    return Estimate(layers, tuple(remarks(program, target, costs)))


def batch_of(program: Program) -> int:
    """Images of a run."""
    graph = program.graph
    return graph.types[graph.inputs[0]].shape[0] if graph.inputs else 1


def _shares(program: Program, costs: Costs) -> dict[str, int]:
    """Cycles of the latency by stage."""
    owners = [a.nodes[0] for a in program.placement if a.kernel != Host.name]
    found, done = dict.fromkeys(owners, 0), 0
    for owner in owners:
        ends = [costs.times.last[e.name] + 1 for e in costs.owned.get(owner, ())]
        end = max([done, *ends])
        found[owner], done = end - done, end
    found[owners[-1]] += costs.times.latency - done
    slowest = costs.owner(costs.slowest) or owners[-1]
    found[slowest] += (batch_of(program) - 1) * costs.times.interval
    return found


def _host(program: Program, assignment: Assignment) -> LayerCost:
    group = Group(program.graph, program.nodes_of(assignment))
    return Host().cost(group, ())


def _staged(
    program: Program, target: "Finn", assignment: Assignment, costs: Costs, share: int
) -> LayerCost:
    group, device = Group(program.graph, program.nodes_of(assignment)), target.board
    owner, batch = assignment.nodes[0], batch_of(program)
    cycles, taken, pace = costs.cycles(owner), costs.taken(owner), costs.times.interval
    parts = {
        "luts": taken.luts * device.lut_pj * pace * batch / 1e6,
        "bram18": taken.bram18 * device.bram18_pj * pace * batch / 1e6,
    }
    return LayerCost(
        name=group.name,
        op=group.anchor.kind,
        kernel=assignment.kernel,
        macs=group.macs,
        latency_ms=share / device.clock * 1e3,
        cycles=float(cycles * batch),
        utilization=min(1.0, costs.products(owner) / pace),
        bound=costs.bound(owner) if owner in costs.owned else "nothing",
        energy_uj=sum(parts.values()),
        traffic_bytes={k: v * batch for k, v in costs.moved(owner).items()},
        energy_parts_uj=parts,
    )
