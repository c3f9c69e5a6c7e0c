"""Which loops a layer has for a cost model."""

import pytest

from codesign.cost.problem import problem_of
from codesign.errors import UnsupportedModelError
from codesign.ir.dtype import DType
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.types import TensorType


@pytest.mark.parametrize(("n", "c", "m"), [(0, 4, 3), (2, 0, 3), (2, 4, 0)])
def test_nothing_to_do_is_refused(n: int, c: int, m: int) -> None:
    """A loop without iterations is not one with one, which is left out."""
    x, w, op = TensorType((n, c), DType.F32), TensorType((m, c), DType.F32), Linear()
    y = op.infer(x, w, None)
    with pytest.raises(UnsupportedModelError, match="has no iterations"):
        problem_of(op.loops((x, w), y), (x, w), y)


def test_no_matrices_in_a_batch_are_refused() -> None:
    x, w, op = TensorType((0, 2, 4), DType.F32), TensorType((0, 4, 3), DType.F32), MatMul()
    y = op.infer(x, w)
    with pytest.raises(UnsupportedModelError, match="has no iterations"):
        problem_of(op.loops((x, w), y), (x, w), y)


def test_loops_of_one_iteration_are_left_out() -> None:
    x, w, op = TensorType((1, 4), DType.F32), TensorType((3, 4), DType.F32), Linear()
    y = op.infer(x, w, None)
    assert problem_of(op.loops((x, w), y), (x, w), y).bounds == (("m", 3), ("c", 4))
