"""An analytic cost of CPU kernels: arithmetic, moved bytes and call overhead, added up.

The terms are those of the roofline (Williams, Waterman and Patterson, CACM 2009), but one core
overlaps little of them: on 255 measured layers of residual and depthwise networks, in float32 and
in 8 bits, their sum is off by 6 to 15 % in the median, and their maximum by 20 to 80 %. The shares
of peak and the rates at which kernels read and write, epilogue included, come from that fit.
"""

from dataclasses import dataclass
from math import prod

from codesign.analysis.estimate import LayerCost
from codesign.mapping.group import Group
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.storage import physical_bytes

RATE = 12.0  # GB/s of one thread that only moves data


@dataclass(frozen=True)
class Machine:
    """Rates of the CPU a program will run on. Clock in GHz, overhead of a call in ms."""

    threads: int = 1
    ghz: float = 2.5
    fma_units: int = 2
    overhead_ms: float = 0.003

    def peak_gmacs(self, isa: Isa, bits: int) -> float:
        """Multiply-accumulates a nanosecond for operands of `bits`, all threads."""
        depth = {"none": 1, "vnni": 4, "sdot": 4, "amx": 16}[isa.dot] if bits <= 8 else 1
        return self.ghz * self.fma_units * isa.f32_lanes * depth * self.threads

    def peak_counts(self, isa: Isa) -> float:
        """Bits that are compared, counted and added a nanosecond, all threads.

        Three instructions a vector, two of them a cycle, where one counts bits; a dozen elsewhere.
        """
        return self.ghz * isa.vector_bits * (2 / 3 if isa.popcount else 1 / 6) * self.threads


def roofline(
    machine: Machine, isa: Isa, kernel: str, group: Group, efficiency: float, rate: float = RATE
) -> LayerCost:
    """The cost of `group` at `efficiency` of peak, with every operand moved once at `rate` GB/s."""
    values = [*group.operands, *group.outputs]
    moved = sum(physical_bytes(group.type(v).without("structure")) for v in values)
    bits, macs = operand_bits(group), group.macs
    work = prod(group.output_type.shape) * max(1, len(group.nodes) - (1 if macs else 0))
    arithmetic = macs / (machine.peak_gmacs(isa, bits) * efficiency) + work / (
        machine.peak_gmacs(isa, 32) * 0.5
    )
    return layer_cost(machine, isa, kernel, group, arithmetic, moved, rate)


def operand_bits(group: Group) -> int:
    """Bits of what `group` reads first, as the kernels for bytes and floats take it."""
    first = group.input_type(0)
    return first.grid.code_bits if first is not None and first.grid else 32


def layer_cost(
    machine: Machine,
    isa: Isa,
    kernel: str,
    group: Group,
    arithmetic: float,
    moved: int,
    rate: float = RATE,
    macs: int | None = None,
) -> LayerCost:
    """The cost of `group`: `arithmetic` nanoseconds and `moved` bytes at `rate` GB/s a thread.

    `macs` are those of a kernel that leaves some of the group's out.
    """
    bits = operand_bits(group)
    memory = moved / (rate * machine.threads)
    busy = (arithmetic + memory) * 1e-6
    total = busy + machine.overhead_ms
    bound = (
        "overhead" if machine.overhead_ms > busy else "compute" if arithmetic > memory else "memory"
    )
    macs = group.macs if macs is None else macs
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
