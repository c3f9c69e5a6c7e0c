"""Values without elements: sums of nothing are zero, and layers over nothing give nothing."""

import numpy as np
import pytest

import codesign as cd
from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.pool import MaxPool
from codesign.ir.program import Program
from codesign.mapping.check import check
from codesign.targets.tvm.target import Cpu

PADS = ((1, 1), (1, 1))
CASES = {
    "matmul": (MatMul(), (2, 0), (0, 3), ()),
    "stacked matmul": (MatMul(), (2, 3, 0), (2, 0, 4), ()),
    "linear": (Linear(), (2, 0), (3, 0), (3,)),
    "linear of no rows": (Linear(), (0, 4), (3, 4), (3,)),
    "conv": (Conv(pads=PADS), (0, 3, 8, 8), (4, 3, 3, 3), (4,)),
    "pointwise": (Conv(), (0, 4, 8, 8), (4, 4, 1, 1), ()),
    "depthwise": (Conv(pads=PADS, groups=4), (0, 4, 8, 8), (4, 1, 3, 3), ()),
    "conv_transpose": (ConvTranspose((2, 2)), (0, 4, 3, 3), (4, 5, 2, 2), ()),
    "max_pool": (MaxPool((2, 2), (2, 2)), (0, 4, 8, 8), (), ()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("constant", [True, False])
def test_results_are_those_of_the_interpreter(case: str, constant: bool) -> None:
    op, x, w, b = CASES[case]
    random = np.random.default_rng(0)
    builder = Builder("empty")
    feeds = {"x": random.standard_normal(x).astype(np.float32)}
    values = [builder.input("x", x)]
    for name, shape in (("w", w), ("b", b)):
        array = random.standard_normal(shape).astype(np.float32)
        if shape and (constant or name == "b"):
            values.append(builder.constant(array, name))
        elif shape:
            values.append(builder.input(name, shape))
            feeds[name] = array
    graph = builder.graph(builder.op(Relu(), builder.op(op, *values)))
    assert all(verdict.supported for verdict in check(Program(graph), Cpu()))
    found = cd.compile(graph, measure="none").run(feeds)
    for name, want in evaluate(graph, feeds).items():
        np.testing.assert_allclose(found[name], want, rtol=1e-5, atol=1e-6)
        assert found[name].shape == want.shape
