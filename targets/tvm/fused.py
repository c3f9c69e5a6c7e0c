"""What a kernel costs that runs several layers over tiles of rows."""

from collections.abc import Sequence
from itertools import pairwise

from codesign.analysis.estimate import LayerCost
from codesign.mapping.group import Group
from codesign.targets.tvm.cost import layer_cost
from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.storage import physical_bytes

CACHE = 768 * 1024  # bytes of a map that are still near when the next layer reads it
LOSS = 1.04  # what smaller tiles of pixels cost in arithmetic and calls within a task

Part = tuple[CpuKernel, Group]  # a layer and the kernel that would run it alone


def fused_cost(
    kernel: CpuKernel, group: Group, parts: Sequence[Part], again: float, loss: float = LOSS
) -> LayerCost:
    """The cost of `parts`, less the calls and the maps between them that outgrow the cache.

    The rates of the parts' kernels are averages over maps of all sizes; what is saved is the time,
    at these rates, of the share of a map that has left the cache before it is read. The first part
    is done `again` times, because tasks share rows; `loss` is what tiles change. Calibrated on the
    blocks of MobileNetV2 in float32 and in 8 bits.
    """
    machine = kernel.machine
    layers = [
        k.cost(layer, k.default(layer)).latency_ms - machine.overhead_ms for k, layer in parts
    ]
    busy = loss * (sum(layers) + layers[0] * (again - 1)) * 1e6
    for (writer, layer), (reader, _) in pairwise(parts):
        size = physical_bytes(layer.output_type)
        far = max(0, size - CACHE)
        busy -= far * (1 / writer.rate + 1 / reader.rate) / machine.threads
    values = [*group.operands, *group.outputs]
    moved = sum(physical_bytes(group.type(v)) for v in values)
    rest = busy - moved / (kernel.rate * machine.threads)
    isa, name = kernel.isa, kernel.name
    return layer_cost(machine, isa, name, group, max(rest, 0.0), moved, kernel.rate)
