"""What has to be said of costs on a machine: what they are, what they leave out."""

from collections.abc import Iterator

from codesign.ir.program import Program
from codesign.mapping.group import Group
from codesign.targets.spatial.kernel import Mapped
from codesign.targets.spatial.layer import bits
from codesign.targets.spatial.pace import waited
from codesign.targets.spatial.target import Spatial


def remarks(program: Program, target: Spatial) -> Iterator[str]:
    """In words: that figures are modelled, which operands count as codes, what the host does."""
    machine = target.machine
    yield f"cycles, times and energies are those of a model of {machine.name}, not measured"
    slow = " and ".join(waited(machine))
    if slow:
        yield (
            f"some transfers of {slow} do not overlap with computing: a bound `x + {slow}` means "
            "that both add up, in cycles, time and utilization"
        )
    groups = [Group(program.graph, program.nodes_of(a)) for a in program.placement]
    mapped = {a.nodes for a in program.placement if a.kernel == Mapped.name}
    layers = [group for group in groups if group.names in mapped]
    floats = [group for group in layers if _in_float(group)]
    if floats:
        path = machine.datapath
        yield (
            f"{len(floats)} of {len(layers)} layers are in float and count as codes of "
            f"{max(path.weight)} x {max(path.input)} bits, the datapath's widest"
        )
    if target.counts_zeros:
        yield (
            "zeros of feature maps count as in the calibration data"
            if target.densities
            else "feature maps count as if without zeros; --calibration has them counted"
        )
    others = sorted({group.anchor.kind for group in groups if group.names not in mapped})
    if others:
        yield f"left to the host, at no cost that is counted: {', '.join(others)}"


def _in_float(group: Group) -> bool:
    types = group.graph.input_types(group.anchor)[:2]
    return any(kind is not None and bits(kind) is None for kind in types)
