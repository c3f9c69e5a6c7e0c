"""The public inputs and outputs of what is built, wherever their buffers are."""

from collections.abc import Callable

from codesign.analysis.positions import position_bounds
from codesign.ir.graph import Graph
from codesign.runtime.plan import Port, Slot

Ports = tuple[Port, ...]


def ports(graph: Graph, slot: Callable[[str], Slot]) -> tuple[Ports, Ports]:
    """Inputs and outputs of `graph`; `slot` says where a value's buffer is."""

    def port(value: str, name: str, bounds: tuple[int, int] | None = None) -> Port:
        kind = graph.types[value]
        return Port(name, kind.shape, kind.dtype.numpy.name, slot(value), bounds)

    bounds = position_bounds(graph)
    inputs = tuple(port(v, v, bounds.get(v)) for v in graph.inputs)
    names = zip(graph.outputs, graph.output_names, strict=True)
    return inputs, tuple(port(v, name) for v, name in names)
