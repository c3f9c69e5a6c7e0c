import numpy as np
import pytest

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.program import Program
from codesign.passes.place.place import Place
from codesign.rewrite.context import Context
from codesign.rewrite.pipeline import run_pass
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, calibrated

TARGET = Cpu("avx512")


def residual() -> Graph:
    b = Builder()
    x = b.input("x", (1, 16, 9, 9))
    w = np.random.default_rng(0).standard_normal((16, 16, 3, 3)).astype(np.float32)
    y = b.op(Conv(pads=((1, 1),) * 2), x, b.constant(w, "w"), name="y")
    return b.graph(b.op(Relu(), b.op(Add(), y, x, name="sum"), name="z"))


def test_what_is_element_wise_goes_with_its_producer() -> None:
    program = run_pass(Program(residual()), Place(), Context(target=TARGET))
    assert [(a.kernel, a.nodes) for a in program.placement] == [("conv-direct", ("y", "sum", "z"))]
    assert program.graph is not None and program.target == TARGET.spec
    TARGET.verify(program, layouts=False)


def test_placing_again_after_a_change_takes_other_kernels() -> None:
    context = calibrated(residual(), target=TARGET)
    program = run_pass(Program(residual()), Place(), context)
    quantized = Program(apply(program.graph, "quantize-int8{slower=true}", context))
    assert [a.kernel for a in run_pass(quantized, Place(), context).placement] == [
        "elementwise", "conv-int8",
    ]  # fmt: skip


def test_needs_a_target() -> None:
    with pytest.raises(UsageError, match="--target"):
        run_pass(Program(residual()), Place(), Context())


def test_a_residual_add_goes_with_the_layer_whatever_comes_first() -> None:
    b = Builder()
    x = b.input("x", (1, 16, 9, 9))
    w = b.constant(np.random.default_rng(0).standard_normal((16, 16, 1, 1)).astype(np.float32), "w")
    skip = b.op(Relu(), x, name="skip")
    y = b.op(Conv(pads=((0, 0),) * 2), x, w, name="y")
    program = run_pass(
        Program(b.graph(b.op(Add(), skip, y, name="sum"))), Place(), Context(target=TARGET)
    )
    assert [a.nodes for a in program.placement] == [("skip",), ("y", "sum")]
