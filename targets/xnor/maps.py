"""The order in which a value's elements are streamed."""

from collections.abc import Mapping
from math import prod

import numpy as np

from codesign.ir.graph import Graph
from codesign.targets.xnor.engine import Map

Arrays = np.ndarray


def maps(graph: Graph) -> Mapping[str, Map]:
    """The map of each value of at least two axes; a graph is frozen, so it is asked once."""
    found: Mapping[str, Map] | None = graph.__dict__.get("_xnor_maps")
    if found is None:
        found = _maps(graph)
        graph.__dict__["_xnor_maps"] = found
    return found


def _maps(graph: Graph) -> Mapping[str, Map]:
    found = {v: _first(graph, v) for v in graph.inputs if graph.types[v].rank > 1}
    for node in graph.nodes:
        shape = graph.types[node.name].shape
        if len(shape) < 2:
            continue
        variables = [v for v in node.operands if v in found]
        if node.kind == "conv":
            found[node.name] = _image(shape)
        elif node.kind == "linear":
            found[node.name] = Map(shape[-1], prod(shape[1:-1]), last=len(shape) > 2)
        elif node.kind in ("max_pool", "avg_pool", "reduce_mean") and variables:
            before = found[variables[0]]
            found[node.name] = before if len(shape) < 3 else _image(shape)
            if prod(shape[1:]) == before.channels:
                found[node.name] = Map(before.channels)
        elif variables and prod(shape) == prod(graph.types[variables[0]].shape):
            found[node.name] = found[variables[0]]
        else:
            found[node.name] = _first(graph, node.name)
    return found


def _first(graph: Graph, value: str) -> Map:
    """The map of what the host gives: as a layer that reads it wants it."""
    shape = graph.types[value].shape
    if len(shape) > 2 and (_multiplied(graph, value) or len(shape) > 4):
        return Map(shape[-1], prod(shape[1:-1]), last=True)
    return _image(shape)


def _multiplied(graph: Graph, value: str) -> bool:
    """Whether a linear layer reads `value`, or what element-wise ops make of it."""
    left, size = [value], graph.types[value].shape
    while left:
        for node in graph.consumers[left.pop()]:
            if node.kind == "linear":
                return True
            if node.kind != "conv" and graph.types[node.name].shape == size:
                left.append(node.name)
    return False


def _image(shape: tuple[int, ...]) -> Map:
    """[N, C, H, W], [N, C, W] or [N, C]."""
    height, width = (1, 1, *shape[2:])[-2:]
    return Map(shape[1], height, width) if len(shape) < 5 else Map(shape[-1], prod(shape[1:-1]))


def streamed(array: Arrays, map_: Map) -> Arrays:
    """[N, pixels, channels] of a value [N, ...]."""
    if map_.last:
        return array.reshape(array.shape[0], map_.pixels, map_.channels)
    return array.reshape(array.shape[0], map_.channels, map_.pixels).swapaxes(1, 2)


def restored(array: Arrays, map_: Map, shape: tuple[int, ...]) -> Arrays:
    """The value of `shape` of [N, pixels, channels]."""
    laid = array if map_.last else array.swapaxes(1, 2)
    return np.ascontiguousarray(laid).reshape(shape)


def order(map_: Map) -> Arrays:
    """For each element as streamed, its index among those of an image as stored."""
    index = np.arange(map_.count).reshape(1, -1)
    return streamed(index, map_).ravel()
