"""Products against numpy, and the loop nests executed against the products."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import VerificationError
from codesign.ir.loops import Access, LoopNest
from codesign.ir.op import Op
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.einsum import Einsum
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.types import TensorType
from tests.ir.running import normal, run, types_of


def execute(nest: LoopNest, operands: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What the loop nest computes: products summed where the accesses point, nothing outside."""
    y = np.zeros(shape)
    names = [name for name, _ in nest.bounds]
    for point in product(*(range(bound) for _, bound in nest.bounds)):
        at = dict(zip(names, point, strict=True))
        where = {a.operand: _position(a, at) for a in nest.accesses}
        arrays = {0: operands[0], 1: operands[1], -1: y}
        if all(_inside(arrays[i], position) for i, position in where.items()):
            y[where[-1]] += float(operands[0][where[0]]) * float(operands[1][where[1]])
    return y


def _position(access: Access, at: dict[str, int]) -> tuple[int, ...]:
    return tuple(sum(k * at[name] for name, k in terms) + offset for terms, offset in access.axes)


def _inside(array: np.ndarray, position: tuple[int, ...]) -> bool:
    return all(0 <= i < n for i, n in zip(position, array.shape, strict=True))


CASES: list[tuple[Op, tuple[int, ...], tuple[int, ...]]] = [
    (Conv((2, 1), ((1, 0), (1, 1)), (1, 2), 1), (1, 2, 5, 6), (3, 2, 2, 2)),
    (Conv((1,), ((2, 1),), (1,), 2), (2, 4, 6), (2, 2, 3)),
    (Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 3), (1, 3, 3, 3), (3, 1, 2, 2)),
    (ConvTranspose((2, 1), ((1, 0), (0, 0)), (1, 2), (1, 0), 1), (1, 2, 3, 3), (2, 3, 2, 2)),
    (ConvTranspose((2,), ((0, 1),), (1,), (0,), 2), (1, 4, 4), (4, 1, 3)),
    (Linear(), (2, 3, 4), (5, 4)),
    (MatMul(), (2, 1, 3, 4), (3, 4, 2)),
    (MatMul(), (4,), (2, 4, 3)),
    (MatMul(), (2, 3, 4), (4,)),
    (MatMul(), (4,), (4,)),
    (Einsum("bij,jk->bik"), (2, 3, 4), (4, 2)),
    (Einsum("...ij,...kj->...ik"), (2, 1, 3, 2), (2, 2, 4, 2)),
]


@pytest.mark.parametrize(("op", "a", "b"), CASES, ids=lambda v: str(getattr(v, "kind", v)))
def test_loop_nests_compute_what_the_op_does(
    op: Op, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    x, w = normal(*a), normal(*b, seed=1)
    kinds = types_of((x, w))
    outputs = op.infer(*kinds)
    nest = op.loops(kinds, outputs)
    assert nest is not None
    found = execute(nest, [x, w], outputs[0].shape)
    np.testing.assert_allclose(found, run(op, x, w), rtol=1e-4, atol=1e-5)


dims = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@given(
    batch=dims, m=st.integers(1, 4), k=st.integers(1, 4), n=st.integers(1, 4), cut=st.integers(0, 2)
)
def test_matmul_agrees_with_numpy(batch: tuple[int, ...], m: int, k: int, n: int, cut: int) -> None:
    a, b = normal(*batch, m, k), normal(*batch[cut:], k, n, seed=1)
    np.testing.assert_allclose(run(MatMul(), a, b), a @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ba, ac", [(2, 3), (3, 4)]),
        ("...ii->...i", [(2, 3, 3)]),
        ("i,i", [(3,), (3,)]),
        ("bhwc,hkc->bhwk", [(1, 2, 3, 4), (2, 5, 4)]),
        ("a...,a...->...", [(2, 3, 4), (2, 3, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("...j,...j", [(4, 2, 3), (2, 3)]),
    ],
)
def test_einsum_agrees_with_numpy(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [normal(*shape, seed=i) for i, shape in enumerate(shapes)]
    np.testing.assert_allclose(
        run(Einsum(equation), *arrays), np.einsum(equation, *arrays), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ij,jk->ik", [(2, 3), (4, 5)]), ("ij->k", [(2, 3)]), ("ij", [(2,)]), ("i,j", [(2,)])],
)
def test_einsum_refuses_what_does_not_fit(equation: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(VerificationError, match="einsum"):
        Einsum(equation).infer(*(TensorType(shape) for shape in shapes))


def test_linear_agrees_with_torch_and_counts() -> None:
    x, w, bias = normal(2, 3, 8), normal(5, 8, seed=1), normal(5, seed=2)
    expected = torch.nn.functional.linear(*map(torch.from_numpy, (x, w, bias))).numpy()
    np.testing.assert_allclose(run(Linear(), x, w, bias), expected, rtol=1e-5, atol=1e-6)
    kinds = types_of((x, w, bias))
    assert Linear().loops(kinds, Linear().infer(*kinds)).macs == 2 * 3 * 5 * 8


def test_operands_that_do_not_fit_are_refused() -> None:
    with pytest.raises(VerificationError, match="matmul"):
        MatMul().infer(TensorType((2, 3)), TensorType((4, 2)))
    with pytest.raises(VerificationError, match="leading axes"):
        MatMul().infer(TensorType((2, 2, 3)), TensorType((3, 3, 2)))
    with pytest.raises(VerificationError, match="a bias of shape"):
        Linear().infer(TensorType((2, 3)), TensorType((4, 3)), TensorType((3,)))
