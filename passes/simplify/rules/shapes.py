"""Chains of shape ops, pads before windows, and means written as pools."""

from dataclasses import replace

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.join import Pad
from codesign.ir.ops.pool import AvgPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Reshape, Transpose
from codesign.rewrite.edit import Edit

RESHAPES = frozenset({"reshape", "flatten", "squeeze", "expand_dims"})


def reshape_of_reshape(graph: Graph, node: Node, edit: Edit) -> str | None:
    """Two shape changes after another are one."""
    before = graph.producers.get(node.operands[0])
    if before is None or before.kind not in RESHAPES or graph.types[node.name].element:
        return None
    return edit.add(Reshape(graph.types[node.name].shape), before.operands[0], name=node.name)


def transpose_of_transpose(graph: Graph, node: Node, edit: Edit) -> str | None:
    """Two transposes after another are one."""
    before = graph.producers.get(node.operands[0])
    if before is None or not isinstance(before.op, Transpose):
        return None
    rank = graph.types[node.name].rank
    backwards = tuple(reversed(range(rank)))
    assert isinstance(node.op, Transpose)
    first, second = before.op.perm or backwards, node.op.perm or backwards
    return edit.add(
        Transpose(tuple(first[axis] for axis in second)), before.operands[0], name=node.name
    )


def pad_into_conv(graph: Graph, node: Node, edit: Edit) -> str | None:
    """Zeros put around the image by a pad are the convolution's own padding.

    Codes that were decoded for the pad alone, as zero is none of them, are read by the convolution.
    """
    before = graph.producers.get(node.operands[0])
    if before is None or not isinstance(before.op, Pad) or not isinstance(node.op, Conv):
        return None
    pad = before.op
    around = any(any(p) for p in pad.pads[:2]) or min(min(p) for p in pad.pads) < 0
    if pad.mode != "constant" or pad.value != 0 or around or len(before.operands) > 1:
        return None
    if graph.types[before.name].encodings != graph.types[before.operands[0]].encodings:
        return None
    both = tuple((a + c, b + d) for (a, b), (c, d) in zip(node.op.pads, pad.pads[2:], strict=True))
    source, image = before.operands[0], graph.producers.get(before.operands[0])
    if image is not None and image.kind == "decode" and graph.types[node.operands[1]].grid:
        source = image.operands[0]
    inputs = (source, *node.inputs[1:])
    return edit.add(replace(node.op, pads=both), *inputs, name=node.name)


def global_average(graph: Graph, node: Node, edit: Edit) -> str | None:
    """An average pool over the whole image is a mean over its axes."""
    assert isinstance(node.op, AvgPool)
    x = graph.types[node.operands[0]]
    whole = node.op.kernel == x.shape[2:] and not any(any(p) for p in node.op.pads)
    dilated = any(d != 1 for d in node.op.dilations)
    if not whole or dilated or graph.types[node.name].shape[2:] != (1,) * (x.rank - 2):
        return None
    return edit.add(ReduceMean(tuple(range(2, x.rank)), True), node.operands[0], name=node.name)
