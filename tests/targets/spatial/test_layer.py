"""Layers as machines see them."""

import numpy as np
import pytest

from codesign import plugins
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.matmul import Linear
from codesign.mapping.group import Group
from codesign.targets.spatial.layer import Layer, layer_of


def product(x: Int | None, w: Int | None, y: Int | None) -> Graph:
    """A linear layer with operands and result in these codes, None in float."""
    b = Builder("net")
    value, weight = b.input("x", (1, 6)), b.constant(np.ones((4, 6), np.float32), "w")
    result = b.op(Linear(), value, weight, name="y")
    for name, form in ((value, x), (weight, w), (result, y)):
        if form is not None:
            b.types[name] = b.types[name].with_encoding(form)
    return b.graph(result)


def codes(bits: int, signed: bool) -> Int:
    return Int(bits, Const(np.float32(0.1), "float32"), Const(0, "int32"), signed=signed)


@pytest.mark.parametrize(
    ("forms", "widths"),
    [
        ((None, None, None), (8, 8, 32, 8)),
        ((codes(8, False), codes(8, True), codes(8, False)), (8, 8, 32, 8)),
        ((codes(8, False), codes(8, True), codes(32, True)), (8, 8, 32, 32)),
        ((codes(8, False), codes(8, True), None), (8, 8, 32, 32)),
    ],
)
def test_what_a_layer_hands_on_is_as_wide_as_what_it_takes(
    forms: tuple[Int | None, Int | None, Int | None], widths: tuple[int, ...]
) -> None:
    graph = product(*forms)
    machine = plugins.make("target", "systolic{array=4x4}").machine
    found = layer_of(Group(graph, (graph.by_name["y"],)), machine, {})
    assert isinstance(found, Layer)
    have = found.widths
    assert (have.input, have.weight, have.partial, have.result) == widths
