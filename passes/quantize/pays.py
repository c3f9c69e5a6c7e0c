"""Which regions of a quantization plan pay on a target, by its own prediction of the program."""

from collections.abc import Callable, Collection

from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.quantize.regions import Regions
from codesign.rewrite.context import Context, Target
from codesign.rewrite.recorder import costs

TRIALS = 16  # regions that are tried in float, those of fewest layers first

Write = Callable[[Regions], Graph]


def paying(regions: Regions, write: Write, context: Context, target: Target) -> Graph:
    """What `write` makes of the regions that pay on `target`; `regions.graph` if none does.

    Starts from all regions and takes back, one after another, each without which the predicted
    latency of the whole program (encode, decode and relayout nodes included) is lower. What is left
    must be faster than the program in float. Layers that stay in float are noted.
    """
    whole = write(regions)
    before, after = (predicted_ms(target, graph) for graph in (regions.graph, whole))
    if before is None or after is None:
        return whole
    separate = components(regions)[:TRIALS]
    for i, part in enumerate(separate if len(separate) > 1 else []):
        context.progress("quantize-int8: comparing predictions", i / len(separate))
        rest = frozenset(regions.anchors) - part
        if not rest:
            break
        fewer = Regions(regions.graph, rest, regions.few)
        if not fewer.codes <= regions.codes:
            continue
        graph = write(fewer)
        without = predicted_ms(target, graph)
        if without is not None and without < after:
            _note(context, part, without, after)
            regions, whole, after = fewer, graph, without
    if after < before:
        return whole
    _note(context, regions.anchors, before, after)
    return regions.graph


def predicted_ms(target: Target, graph: Graph) -> float | None:
    """Predicted latency of `graph` placed on `target`; None if it cannot be placed."""
    estimate = costs(Program(graph), target, timed=False).estimate
    return None if estimate is None else estimate.latency_ms


def components(regions: Regions) -> list[frozenset[str]]:
    """The layers of `regions` by what hands codes to each other, fewest layers first."""
    parent: dict[str, str] = {}

    def root(value: str) -> str:
        while value in parent:
            value = parent[value]
        return value

    def join(a: str, b: str) -> None:
        if root(a) != root(b):
            parent[root(a)] = root(b)

    carried = regions.codes | regions.accumulators
    for node in regions.graph.nodes:
        values = [v for v in (*node.operands, *node.outputs) if v in carried]
        for value in values[1:]:
            join(values[0], value)
    found: dict[str, set[str]] = {}
    for name in regions.anchors:
        found.setdefault(root(regions.graph.by_name[name].operands[0]), set()).add(name)
    return sorted((frozenset(part) for part in found.values()), key=lambda p: (len(p), sorted(p)))


def _note(context: Context, layers: Collection[str], plain: float, coded: float) -> None:
    """Say for each of `layers` what the program takes with it in float and in codes."""
    text = f"stays in float: the program's {plain:.4f} ms would be {coded:.4f} ms"
    for name in sorted(layers):
        context.note(name, text, done=False)
