"""3 x 3 convolutions by Winograd's minimal filtering."""

from math import prod
from types import ModuleType
from typing import ClassVar

from codesign.analysis.estimate import LayerCost
from codesign.ir.program import Point
from codesign.mapping.group import Group
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.kernel import from_point
from codesign.targets.tvm.kernels import conv_winograd, winograd_schedule
from codesign.targets.tvm.patterns.conv import ConvKernel
from codesign.targets.tvm.storage import physical_bytes


class ConvWinograd(ConvKernel):
    """3 x 3, stride 1: up to four times fewer multiplications than a direct convolution."""

    name: ClassVar[str] = "conv-winograd"
    module: ClassVar[ModuleType] = conv_winograd
    efficiency: ClassVar[float] = 0.75
    rate: ClassVar[float] = 50.0

    def cost(self, group: Group, point: Point) -> LayerCost:
        """The cycles of the schedule's model, and every operand moved once."""
        machine, isa = self.machine, self.isa
        schedule = from_point(conv_winograd.Point, point)
        cycles = winograd_schedule.cycles(self.shape(group), isa, schedule)
        busy = cycles / (machine.ghz * machine.fma_units / 2 * machine.threads * self.efficiency)
        chain = prod(group.output_type.shape) * len(group.chain)
        arithmetic = busy + chain / (machine.peak_gmacs(isa, 32) * 0.5)
        values = [*group.operands, *group.outputs]
        moved = sum(physical_bytes(group.type(v).without("structure")) for v in values)
        return layer_cost(machine, isa, self.name, group, arithmetic, moved, self.rate)
