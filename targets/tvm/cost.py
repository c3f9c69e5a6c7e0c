"""An analytic cost of CPU kernels: arithmetic, memory traffic and call overhead (roofline).

Williams, Waterman and Patterson, "Roofline", CACM 2009: time is the larger of work over peak
arithmetic and bytes over bandwidth; a fixed overhead is added for each call.
"""

from dataclasses import dataclass
from math import prod

from codesign.analysis.estimate import LayerCost
from codesign.mapping.group import Group
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.storage import physical_bytes


@dataclass(frozen=True)
class Machine:
    """Rates of the CPU a program will run on. Clock in GHz, bandwidth in GB/s, overhead in ms."""

    threads: int = 1
    ghz: float = 2.5
    fma_units: int = 2
    bandwidth: float = 12.0
    cache_bandwidth: float = 40.0
    cache_bytes: int = 1 << 20
    overhead_ms: float = 0.001

    def peak_gmacs(self, isa: Isa, bits: int) -> float:
        """Multiply-accumulates a nanosecond for operands of `bits`, all threads."""
        depth = {"none": 1, "vnni": 4, "sdot": 4, "amx": 16}[isa.dot] if bits <= 8 else 1
        return self.ghz * self.fma_units * isa.f32_lanes * depth * self.threads


def roofline(machine: Machine, isa: Isa, kernel: str, group: Group, efficiency: float) -> LayerCost:
    """The cost of `group` at `efficiency` of peak, with every operand moved once."""
    values = [*group.operands, *group.outputs]
    moved = sum(physical_bytes(group.type(v).without("structure")) for v in values)
    first = group.input_type(0)
    bits = first.integer.width if first is not None and first.integer else 32
    macs = group.macs
    work = prod(group.output_type.shape) * max(1, len(group.nodes) - (1 if macs else 0))
    arithmetic = macs / (machine.peak_gmacs(isa, bits) * efficiency) + work / (
        machine.peak_gmacs(isa, 32) * 0.5
    )
    return layer_cost(machine, isa, kernel, group, arithmetic, moved)


def layer_cost(
    machine: Machine, isa: Isa, kernel: str, group: Group, arithmetic: float, moved: int
) -> LayerCost:
    """The cost of `group` that takes `arithmetic` nanoseconds and moves `moved` bytes."""
    first = group.input_type(0)
    bits = first.integer.width if first is not None and first.integer else 32
    rate = machine.cache_bandwidth if moved < machine.cache_bytes else machine.bandwidth
    memory = moved / rate
    busy = max(arithmetic, memory) * 1e-6
    total = busy + machine.overhead_ms
    bound = (
        "overhead" if machine.overhead_ms > busy else "compute" if arithmetic > memory else "memory"
    )
    macs = group.macs
    return LayerCost(
        group.name,
        group.anchor.kind,
        kernel,
        macs,
        total,
        total * machine.ghz * 1e6,
        macs / (machine.peak_gmacs(isa, bits) * total * 1e6) if macs else 0.0,
        bound,
        traffic_bytes={"memory": moved},
    )
