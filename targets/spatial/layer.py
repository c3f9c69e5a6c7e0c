"""A group of ops as a machine sees it: its loops, the widths of its operands, how many are zero."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from codesign.cost.operands import Densities, Widths
from codesign.cost.problem import Problem, problem_of
from codesign.errors import UnsupportedModelError
from codesign.ir.graph import Graph
from codesign.ir.types import TensorType
from codesign.machine.machine import Machine
from codesign.mapping.group import Group
from codesign.mapping.refusal import Refusal
from codesign.targets.spatial.merge import merged, room


@dataclass(frozen=True)
class Layer:
    """What a mapper needs to know of a layer, of which so many `groups` run as one."""

    problem: Problem
    widths: Widths
    densities: Densities
    groups: int = 1


def layer_of(
    group: Group, machine: Machine, seen: Mapping[str, float], groups: int = 1
) -> Layer | Refusal:
    """The layer that `group` is on `machine`, or what of it the machine does not take.

    Operands that are no codes count as the widest that the datapath takes, and so does what a layer
    in float hands on; feature maps of which the share that is not zero was not `seen`, as without
    zeros.
    """
    anchor = group.anchor
    types = group.graph.input_types(anchor)
    nest = anchor.op.loops(types, group.graph.output_types(anchor))
    if nest is None:
        kind = anchor.kind
        return Refusal(f"{kind} has no loop nest of multiplications", "an array runs these")
    if not nest.macs:
        shapes = ", ".join(str(list(t.shape)) for t in (*types[:2], group.anchor_type) if t)
        return Refusal(
            f"{anchor.kind} has nothing to multiply in {shapes}",
            f"{machine.name} runs layers of at least one multiplication",
            "give the model inputs that have elements, at least one sample at a time",
        )
    try:
        problem, unfold = stated_of(group, machine, groups)
    except UnsupportedModelError as error:
        return Refusal(str(error), "an array multiplies elements of two operands")
    left, right = (types[access.operand] for access in nest.accesses[:2])
    path = machine.datapath
    found = []
    for role, type_, offered in (("inputs", left, path.input), ("weights", right, path.weight)):
        assert type_ is not None
        width = _width(type_, offered, path.kind == "fused")
        if width is None:
            return Refusal(
                f"{role} have {bits(type_)} bits",
                f"the datapath of {machine.name} takes {', '.join(map(str, offered))}",
                f"assign at most {max(offered)} bits to them",
            )
        found.append(width)
    sums, result = path.stored, bits(group.output_type)
    if result is None:  # a layer in float, or the last of those in codes
        assert left is not None
        result = max(path.input) if bits(left) is None else sums
    widths = Widths(found[0], found[1], sums, min(result, sums))
    problem = problem.unfolded() if unfold else problem
    problem = problem.padded() if machine.padding else problem
    left_in, right_in = (a.operand for a in nest.accesses[:2])
    given = _density(group, left_in, seen), _density(group, right_in, seen) / groups
    return Layer(problem, widths, Densities(*given, seen.get(group.outputs[0], 1.0)), groups)


def layers_of(
    group: Group, machine: Machine, seen: Mapping[str, float]
) -> tuple[Layer, ...] | Refusal:
    """The ways to run `group` on `machine`: as it is, and with groups as one if it takes that."""
    plain = layer_of(group, machine, seen)
    if isinstance(plain, Refusal):
        return plain
    together = room(group, machine, plain.widths)
    dense = layer_of(group, machine, seen, together) if together > 1 else plain
    return (plain,) if isinstance(dense, Refusal) or together == 1 else (plain, dense)


def stated_of(group: Group, machine: Machine, groups: int = 1) -> tuple[Problem, bool]:
    """The problem as the op of `group` states it, and whether `machine` lays its windows out.

    So many `groups` of a convolution are one there.
    UnsupportedModelError if it is no product of two operands.
    """
    op, types = group.anchor.op, group.graph.input_types(group.anchor)
    results = group.graph.output_types(group.anchor)
    if groups > 1:
        op, types = merged(op, types, groups)
    nest = op.loops(types, results)
    if nest is None:
        raise UnsupportedModelError(f"{group.anchor.kind} has no loop nest of multiplications")
    how, source = machine.mapping.unfold, group.input(nest.accesses[0].operand)
    unfold = how == "all" or (how == "first" and _given(group.graph, source))
    return problem_of(nest, types, results), unfold


def _given(graph: Graph, value: str | None) -> bool:
    """Whether `value` is an input of the network, as it comes or encoded."""
    maker = None if value is None else graph.producers.get(value)
    if maker is not None and maker.kind == "encode":
        value = maker.operands[0]
    return value in graph.inputs and not graph.types[value].encodings


def bits(kind: TensorType) -> int | None:
    """Bits of a code of `kind`, None if it holds no codes."""
    return None if kind.integer is None else kind.integer.width


def _width(kind: TensorType, offered: tuple[int, ...], narrow: bool) -> int | None:
    """Bits that an element takes: a width of the datapath, or less if memories are `narrow`."""
    need = bits(kind)
    if need is None:
        return max(offered)
    if narrow and need < min(offered):
        return need
    return min((width for width in offered if width >= need), default=None)


def _density(group: Group, role: int, seen: Mapping[str, float]) -> float:
    """Share of an operand that is not zero, at least one element's."""
    const = group.constant(role)
    if const is None:
        return seen.get(group.input(role) or "", 1.0)
    if const.array.size == 0:
        return 1.0
    return max(1, int(np.count_nonzero(const.array))) / const.array.size
