import numpy as np
import pytest

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.encodings import Csr, Int
from codesign.ir.graph import Graph
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.encode import Decode
from codesign.ir.ops.join import Split
from codesign.ir.ops.shape import Expand, Reshape
from codesign.rewrite.context import Context
from tests.passes.harness import apply, kinds, lines, same


def constants_only() -> Graph:
    b = Builder()
    c = b.constant(np.arange(6, dtype=np.float32), "c")
    d = b.op(Reshape((2, 3)), c, name="d")
    e = b.op(Add(), d, d, name="e")
    x = b.input("x", (2, 3))
    return b.graph(b.op(Mul(), x, e, name="y"), e, output_names=["y", "e"])


def test_chains_of_constants_are_computed_also_where_they_are_returned() -> None:
    before = constants_only()
    after = apply(before, "fold-constants")
    assert kinds(after) == ["mul"]
    assert after.outputs[1] in after.constants and after.output_names == ("y", "e")
    same(before, after, 0)


def test_several_results_and_encoded_constants() -> None:
    b = Builder()
    c = b.constant(np.arange(5, dtype=np.float32), "c", (Csr(4), Int(8)))
    first, second = b.results(Split(0, (2, 3)), b.op(Decode(), c), names=["p", "q"])
    x, z = b.input("x", (2,)), b.input("z", (3,))
    before = b.graph(b.op(Add(), x, first), b.op(Add(), z, second), output_names=["u", "v"])
    after = apply(before, "fold-constants")
    assert kinds(after) == ["add", "add"]
    same(before, after, 0)


def test_what_would_swell_the_artifact_stays_computed_and_is_noted() -> None:
    b = Builder()
    wide = b.op(Expand((4, 300)), b.constant(np.ones((4, 1), np.float32), "c"), name="wide")
    before = b.graph(b.op(Add(), b.input("x", (4, 300)), wide, name="y"))
    context = Context()
    after = apply(before, "fold-constants{max_elements=1000}", context)
    assert after == before
    assert [(n.layer, n.done) for n in context.notes] == [("wide", False)]
    assert lines(apply(before, "fold-constants")) == ["y=add(x, wide)"]


def test_options() -> None:
    with pytest.raises(UsageError, match="max_elements is 0"):
        apply(constants_only(), "fold-constants{max_elements=0}")
    with pytest.raises(UsageError, match="max_elements"):
        apply(constants_only(), "fold-constants{max_element=3}")
