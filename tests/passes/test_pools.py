"""Codes of few bits are taken before max pools."""

import numpy as np
import pytest

from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Binary, Int
from codesign.ir.encodings.grid import Grid
from codesign.ir.graph import Graph
from codesign.ir.ops.encode import Decode, Encode
from codesign.ir.ops.pool import MaxPool
from codesign.passes.simplify.pools import pooled

FORMS = [Binary(), Int(1, signed=False), Int(2, Const(0.5, "float32"), signed=False)]


def network(form: Grid, shared: bool = False) -> Graph:
    b = Builder()
    pool = b.op(MaxPool((3, 2), (2, 1), ((1, 1), (0, 1))), b.input("x", (2, 3, 6, 5)), name="pool")
    bits = b.op(Encode(), pool, name="bits")
    b.types[bits] = b.types[bits].with_encoding(form)
    outputs = [b.op(Decode(), bits, name="out"), *([pool] if shared else [])]
    return b.graph(*outputs)


@pytest.mark.parametrize("form", FORMS)
def test_the_maximum_of_codes_is_the_code_of_the_maximum(form: Grid) -> None:
    graph = network(form)
    changed = pooled(graph)
    assert [node.kind for node in changed.nodes] == ["encode", "max_pool", "decode"]
    data = {"x": np.random.default_rng(0).standard_normal((2, 3, 6, 5)).astype(np.float32)}
    want, got = (evaluate_integer(g, data)["out"] for g in (graph, changed))
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(("form", "shared"), [(Int(8), False), (Binary(), True)])
def test_many_levels_and_values_that_others_read_stay(form: Grid, shared: bool) -> None:
    graph = network(form, shared)
    assert pooled(graph) is graph
