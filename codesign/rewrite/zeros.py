"""Targets that count zeros of feature maps, told of those that calibration data shows."""

from collections.abc import Mapping
from typing import TypeVar

from codesign.ir.graph import Graph
from codesign.rewrite.context import Context, Target
from codesign.rewrite.meaning import meaning

SAMPLES = 16  # a few are enough for shares of whole feature maps
DIGITS = 3  # so that a layer whose zeros hardly change keeps its mapping

Kind = TypeVar("Kind", bound=Target)


def seeing(target: Kind, graph: Graph, context: Context) -> Kind:
    """`target`, pricing values of `graph` by the shares of zeros that the calibration data shows.

    Itself where it counts no zeros, or where there is no data.
    """
    if context.calibration is None or not target.counts_zeros:
        return target
    return target.seen(_shares(graph, context))


def _shares(graph: Graph, context: Context) -> Mapping[str, float]:
    """By value, the share that is not zero; computed again only if the graph means another."""
    from codesign.interpret.densities import densities

    assert context.calibration is not None
    key = meaning(graph)
    for known, found in context.zeros:
        if known == key:
            return found
    context.progress("counting zeros", 0.0)
    exact = densities(graph, context.calibration.batches(graph, SAMPLES))
    shares = {value: float(f"{share:.{DIGITS}g}") for value, share in exact.items()}
    context.zeros[:] = [*context.zeros[-1:], (key, shares)]
    return shares
