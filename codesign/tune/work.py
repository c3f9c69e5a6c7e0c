"""A task as a worker gets it: a graph of one group, inputs, and what is to come out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from codesign.errors import UnsupportedModelError
from codesign.ir.const import Const
from codesign.ir.graph import Graph
from codesign.ir.parse import parse_program
from codesign.ir.program import Assignment, Point, Program
from codesign.ir.text import named_constants, print_program
from codesign.mapping.group import Group
from codesign.mapping.target import Target
from codesign.mapping.workload import extracted, operations, signature
from codesign.tune.naming import shape_of

Arrays = Mapping[str, np.ndarray]
FLOAT_TOLERANCE = 1e-4  # of the largest magnitude of an output


@dataclass(frozen=True)
class Task:
    """Work to find a schedule for: its signature, a graph of it alone, and where it occurs.

    `nodes` are the group's within `graph`; `layers` the layers of the network that do this work;
    `start` the kernel and point that they have now.
    """

    work: str
    graph: Graph
    nodes: tuple[str, ...]
    operations: int
    layers: tuple[str, ...]
    start: tuple[str, Point]

    @property
    def op(self) -> str:
        """The kind of the group's anchor."""
        return self.group.anchor.kind

    @property
    def shape(self) -> str:
        """Shapes of weights, first input and result, in words."""
        return shape_of(self.work)

    @property
    def group(self) -> Group:
        """The group within the task's own graph."""
        return Group(self.graph, tuple(self.graph.by_name[name] for name in self.nodes))

    def candidates(self, target: Target) -> Iterator[tuple[str, Point]]:
        """Every kernel that takes the whole group, with every schedule of its space."""
        group = self.group
        for kernel in target.by_anchor.get(group.anchor.kind, ()):
            if kernel.refuse(group) is None:
                for point in dict.fromkeys((kernel.default(group), *kernel.space(group))):
                    yield kernel.name, point


def tasks_of(program: Program) -> list[Task]:
    """The distinct tasks of a placed program, in order of their first layer."""
    found: dict[str, Task] = {}
    for assignment in program.placement:
        group = Group(program.graph, program.nodes_of(assignment))
        work = signature(group)
        known = found.get(work)
        layers = (*known.layers, group.name) if known else (group.name,)
        start = known.start if known else (assignment.kernel, assignment.point)
        graph = known.graph if known else extracted(group)
        nodes = known.nodes if known else group.names
        found[work] = Task(work, graph, nodes, operations(group), layers, start)
    return list(found.values())


def placed(
    task_graph: Graph, nodes: tuple[str, ...], target: Target, choice: Assignment
) -> Program:
    """The graph of a task with `choice` for its group, the first kernel for all else, laid out."""
    placement = []
    for node in task_graph.nodes:
        if node.name == nodes[0]:
            placement.append(choice)
        elif node.name not in nodes:
            placement.append(Assignment(_first(Group(task_graph, (node,)), target), (node.name,)))
    return target.choose_layouts(Program(task_graph, target.spec, tuple(placement)))


def _first(group: Group, target: Target) -> str:
    for kernel in target.by_anchor.get(group.anchor.kind, ()):
        if kernel.refuse(group) is None and not kernel.default(group):
            return kernel.name
    raise UnsupportedModelError(f"target {target.spec} has no kernel for {group.anchor.kind}")


@dataclass(frozen=True)
class Parcel:
    """A task in plain text and arrays, as it is sent to a worker once."""

    work: str
    text: str
    constants: Arrays
    nodes: tuple[str, ...]
    inputs: Arrays
    expected: Arrays
    exact: bool

    def graph(self) -> Graph:
        """The graph of the task."""
        named = {digits: Const(array) for digits, array in self.constants.items()}
        return parse_program(self.text, named).graph


def parcel(task: Task, seed: int = 0) -> Parcel:
    """`task` with random inputs and what the interpreter makes of them."""
    from codesign.interpret.evaluate import evaluate
    from codesign.interpret.integer import evaluate_integer

    graph = task.graph
    exact = any(graph.types[v].integer for v in graph.types)
    inputs = random_inputs(graph, np.random.default_rng(seed))
    expected = (evaluate_integer if exact else evaluate)(graph, inputs)
    constants = {digits: const.array for digits, const in named_constants(graph).items()}
    text = print_program(Program(graph))
    return Parcel(task.work, text, constants, task.nodes, inputs, expected, exact)


def random_inputs(graph: Graph, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Normally distributed floats over the range of their codes, and zeros for integers."""
    spread = {}
    for node in graph.walk("encode"):
        integer = graph.types[node.name].integer
        if integer is not None:
            spread[node.operands[0]] = float(integer.scale.array.max()) * 2.0 ** (integer.width - 3)
    found = {}
    for name in graph.inputs:
        kind = graph.types[name]
        dtype = kind.dtype.numpy
        if dtype.kind == "f":
            array = random.standard_normal(kind.shape) * spread.get(name, 1.0)
            found[name] = array.astype(dtype)
        else:
            found[name] = np.zeros(kind.shape, dtype)
    return found
