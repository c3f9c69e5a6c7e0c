import numpy as np

from codesign.ir.builder import Builder
from codesign.ir.encodings import Int
from codesign.ir.ops.activation import Clip, Relu
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.join import Split
from codesign.rewrite.context import Context
from tests.passes.harness import apply, kinds, lines, same


def test_equal_chains_over_equal_constants_are_one() -> None:
    b = Builder()
    x = b.input("x", (3,))
    one, two = (b.constant(np.ones(3, np.float32), n) for n in ("one", "two"))
    p = b.op(Relu(), b.op(Mul(), x, one, name="m"), name="p")
    q = b.op(Relu(), b.op(Mul(), x, two, name="n"), name="q")
    before = b.graph(b.op(Add(), p, q, name="y"))
    context = Context()
    after = apply(before, "common-subexpressions", context)
    assert lines(after) == ["m=mul(x, one)", "p=relu(m)", "y=add(p, p)"]
    assert [note.layer for note in context.notes] == ["n", "q"]
    same(before, after, 0)


def test_both_outputs_may_become_one_value() -> None:
    b = Builder()
    x = b.input("x", (3,))
    before = b.graph(b.op(Relu(), x), b.op(Relu(), x), output_names=["a", "b"])
    after = apply(before, "common-subexpressions")
    assert after.outputs == ("relu", "relu") and after.output_names == ("a", "b")
    same(before, after, 0)


def test_other_attributes_types_or_order_are_other_values() -> None:
    b = Builder()
    x, z = b.input("x", (3,)), b.input("z", (3,))
    values = [
        b.op(Clip(0.0, 6.0), x), b.op(Clip(0.0, 1.0), x), b.op(Add(), x, z), b.op(Add(), z, x),
        b.op(Relu(), x, name="r"), b.op(Relu(), x, name="coded"),
    ]  # fmt: skip
    b.types["coded"] = b.types["coded"].with_encoding(Int(8))
    same_bits = b.constant(np.zeros(3, np.float32), "f"), b.constant(np.zeros(3, np.int32), "i")
    before = b.graph(*values, *same_bits)
    assert apply(before, "common-subexpressions") is before


def test_all_results_of_a_node() -> None:
    b = Builder()
    x = b.input("x", (4,))
    parts = [b.results(Split(0, (1, 3)), x, names=[n]) for n in "pq"]
    before = b.graph(*(b.op(Add(), *pair) for pair in zip(*parts, strict=True)))
    after = apply(before, "common-subexpressions")
    assert kinds(after) == ["split", "add", "add"]
    same(before, after, 0)
