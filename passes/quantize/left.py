"""Layers that no pass gives codes, and why."""

from collections.abc import Collection

from codesign.analysis.in_float import in_float
from codesign.ir.graph import Graph
from codesign.passes.quantize.regions import ANCHORS, refusal


def without_codes(graph: Graph, among: Collection[str]) -> tuple[list[str], list[str]]:
    """Layers in float `among` some that get no codes, with the reason, and those that could."""
    never, open_ = [], []
    for node in (node for node in in_float(graph) if node.name in among):
        why = "only conv and linear layers have codes"
        if node.kind in ANCHORS:
            why = refusal(graph, node, any_window=True)
        if why:
            never.append(f"%{node.name} ({node.kind}: {why})")
        else:
            open_.append(f"%{node.name}")
    return never, open_
