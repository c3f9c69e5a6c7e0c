import numpy as np
import pytest

from codesign.errors import UnknownNameError
from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.join import Split
from codesign.ir.ops.unary import Neg
from tests.passes.harness import apply, lines, same


def test_what_no_output_reads_goes_but_inputs_stay() -> None:
    b = Builder()
    x, unused = b.input("x", (4,)), b.input("unused", (2,))
    a = b.op(Relu(), x, name="a")
    b.op(Add(), b.op(Neg(), a, name="d"), b.constant(np.ones(4, np.float32), "c"), name="e")
    before = b.graph(a)
    after = apply(before, "dead-code")
    assert lines(after) == ["a=relu(x)"]
    assert after.inputs == (x, unused) and not after.constants and "d" not in after.types
    same(before, after, 0)


def test_a_node_with_one_live_result_stays_whole() -> None:
    b = Builder()
    p, _ = b.results(Split(0, (1, 3)), b.input("x", (4,)), names=["p", "q"])
    before = b.graph(p)
    assert apply(before, "dead-code") == before


def test_nothing_dead_is_nothing_done() -> None:
    b = Builder()
    before = b.graph(b.op(Relu(), b.input("x", (4,))))
    assert apply(before, "dead-code") is before


def test_options() -> None:
    with pytest.raises(UnknownNameError, match="option of pass dead-code"):
        apply(Builder().graph(), "dead-code{deep=true}")
