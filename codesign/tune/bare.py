"""The group of a task without the layouts around it: less to compile where only time counts.

Its inputs and results are in the layouts that its kernel wants; what they hold is random, so a bare
candidate is timed and never checked.
"""

from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.ir.text import named_constants, print_program
from codesign.mapping.group import Group
from codesign.tune.work import Parcel, Task


def bare(program: Program, nodes: tuple[str, ...]) -> Program:
    """The group `nodes` of a placed `program` alone, every type as it stands there."""
    whole = program.graph
    group = Group(whole, tuple(whole.by_name[name] for name in nodes))
    inner = [value for node in group.nodes for value in node.outputs]
    types = {value: whole.types[value] for value in (*group.operands, *inner)}
    constants = {v: whole.constants[v] for v in group.operands if v in whole.constants}
    ends = group.outputs
    graph = Graph("bare", group.variables, ends, ends, group.nodes, types, constants)
    placement = tuple(a for a in program.placement if a.nodes == nodes)
    return Program(graph, program.target, placement)


def unchecked(task: Task) -> Parcel:
    """`task` without inputs and what they give."""
    constants = {digits: const.array for digits, const in named_constants(task.graph).items()}
    text = print_program(Program(task.graph))
    return Parcel(task.work, text, constants, task.nodes, {}, {}, False)
