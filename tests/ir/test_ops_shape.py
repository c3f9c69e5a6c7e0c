"""Shapes, cuts, pads, gathers and scatters against numpy."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import DataError, VerificationError
from codesign.ir.op import Op
from codesign.ir.ops import gather, join, rearrange, scatter, shape
from codesign.ir.ops.resize import Resize
from codesign.ir.types import TensorType
from tests.ir.running import f32, i64, normal, results, run

ends = st.integers(-7, 7)
steps = st.integers(-3, 3).filter(bool)


@given(extents=st.tuples(st.integers(1, 5), st.integers(1, 5)), cut=st.tuples(ends, ends, steps))
def test_slices_agree_with_python(extents: tuple[int, int], cut: tuple[int, int, int]) -> None:
    x = normal(2, *extents)
    start, end, step = cut
    op = join.Slice((2, 1), (start, 0), (end, 5), (step, 2))
    np.testing.assert_array_equal(run(op, x), x[:, 0:5:2, start:end:step])


@given(
    pads=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=2),
    mode=st.sampled_from(["reflect", "edge", "wrap"]),
)
def test_pads_agree_with_numpy(pads: list[tuple[int, int]], mode: Any) -> None:
    x = normal(3, 4)
    np.testing.assert_array_equal(run(join.Pad(tuple(pads), mode), x), np.pad(x, pads, mode))
    expected = np.pad(x, pads, constant_values=1.5)
    np.testing.assert_array_equal(run(join.Pad(tuple(pads), value=1.5), x), expected)


def test_pads_refuse_what_they_cannot_fill() -> None:
    with pytest.raises(VerificationError, match="reflect needs an extent of 2"):
        join.Pad(((1, 1),), "reflect").infer(TensorType((1,)))
    with pytest.raises(VerificationError, match="at least 0"):
        join.Pad(((-1, 1),)).infer(TensorType((1,)))


@given(sizes=st.lists(st.integers(0, 3), min_size=1, max_size=4), axis=st.integers(0, 2))
def test_split_and_concat_undo_each_other(sizes: list[int], axis: int) -> None:
    extents = [2, 3, 2]
    extents[axis] = sum(sizes)
    x = normal(*extents)
    parts = results(join.Split(axis, tuple(sizes)), x)
    assert [part.shape[axis] for part in parts] == sizes
    np.testing.assert_array_equal(run(join.Concat(axis), *parts), x)


def test_concat_refuses_other_extents() -> None:
    with pytest.raises(VerificationError, match="equal extents"):
        join.Concat(1).infer(TensorType((2, 3)), TensorType((3, 3)))


def test_shapes_agree_with_numpy() -> None:
    x = normal(2, 3, 1, 4)
    cases: list[tuple[Op, np.ndarray]] = [
        (shape.Reshape((6, 4)), x.reshape(6, 4)),
        (shape.Flatten(2), x.reshape(6, 4)),
        (shape.Flatten(0), x.reshape(1, 24)),
        (shape.Squeeze((2,)), x[:, :, 0]),
        (shape.ExpandDims((0, 3)), x[None, :, :, None]),
        (shape.Transpose((3, 0, 2, 1)), x.transpose(3, 0, 2, 1)),
        (shape.Expand((5, 2, 3, 6, 4)), np.broadcast_to(x, (5, 2, 3, 6, 4))),
        (join.Tile((1, 2, 3, 1)), np.tile(x, (1, 2, 3, 1))),
        (rearrange.Trilu(True, 1), np.triu(x, 1)),
        (rearrange.Trilu(False, -1), np.tril(x, -1)),
    ]
    for op, expected in cases:
        np.testing.assert_array_equal(run(op, x), expected, err_msg=str(op))


@pytest.mark.parametrize(
    "op",
    [
        shape.Reshape((5, 5)),
        shape.Reshape((-1, 4)),
        shape.Squeeze((0,)),
        shape.Transpose((0, 1)),
        shape.Expand((2, 3, 1, 5)),
        shape.Flatten(5),
        join.Tile((1,)),
        join.Split(1, (1, 1)),
        join.Slice((0,), (0,), (1,), (0,)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(op: Op) -> None:
    with pytest.raises(VerificationError, match=op.kind):
        op.infer(TensorType((2, 3, 1, 4)))


def test_space_and_depth() -> None:
    x = normal(2, 8, 3, 4)
    expected = F.pixel_shuffle(torch.from_numpy(x), 2).numpy()
    np.testing.assert_array_equal(run(rearrange.DepthToSpace(2, "CRD"), x), expected)
    spread = run(rearrange.DepthToSpace(2, "DCR"), x)
    np.testing.assert_array_equal(run(rearrange.SpaceToDepth(2), spread), x)


def test_gathers_agree_with_numpy() -> None:
    x = normal(3, 4, 5)
    at = i64([[0, -1], [2, 1]])
    np.testing.assert_array_equal(run(gather.Gather(1), x, at), np.take(x, at, 1))
    np.testing.assert_array_equal(run(gather.Embedding(), at, x), x[at])
    one = np.random.default_rng(0).integers(-4, 4, (3, 2, 5))
    expected = np.take_along_axis(x, one, 1)
    np.testing.assert_array_equal(run(gather.GatherElements(1), x, one), expected)
    pairs = i64([[0, 3], [-1, -2]])
    np.testing.assert_array_equal(run(gather.GatherNd(), x, pairs), x[[0, -1], [3, -2]])
    batched = i64([[[1], [0]], [[2], [3]], [[-1], [0]]])
    expected = np.stack([x[i, batched[i, :, 0]] for i in range(3)])
    np.testing.assert_array_equal(run(gather.GatherNd(1), x, batched), expected)


def test_positions_out_of_range_are_data_errors() -> None:
    with pytest.raises(DataError, match=r"positions 0\.\.3 are given for an axis of 3"):
        run(gather.Gather(0), normal(3, 2), i64([0, 3]))


def test_one_hot() -> None:
    at = i64([1, -1, 5])
    found = run(gather.OneHot(3, 0, 2.0, -1.0, "i32"), at)
    assert found.tolist() == [[-1, -1, -1], [2, -1, -1], [-1, 2, -1]]


def test_scatter_elements() -> None:
    x, updates = normal(3, 4), normal(2, 4, seed=1)
    at = i64([[0, 1, 2, -1], [1, 0, 0, 0]])
    expected = x.copy()
    np.put_along_axis(expected, at, updates, 0)
    np.testing.assert_array_equal(run(scatter.ScatterElements(0), x, at, updates), expected)
    for name, function in (("add", np.add), ("mul", np.multiply), ("max", np.maximum)):
        expected = x.copy()
        function.at(expected, (at, np.arange(4)), updates)
        found = run(scatter.ScatterElements(0, name), x, at, updates)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_scatter_nd() -> None:
    x, updates = normal(4, 3, 2), normal(2, 2, seed=1)
    at = i64([[0, 2], [-1, 0]])
    expected = x.copy()
    expected[[0, -1], [2, 0]] = updates
    np.testing.assert_array_equal(run(scatter.ScatterNd(), x, at, updates), expected)
    twice = i64([[1, 1], [1, 1]])
    expected = x.copy()
    expected[1, 1] += updates.sum(0)
    found = run(scatter.ScatterNd("add"), x, twice, updates)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize(("mode", "name"), [("linear", "bilinear"), ("cubic", "bicubic")])
@given(rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_resize_agrees_with_torch(
    mode: str, name: str, corners: bool, rows: int, columns: int
) -> None:
    x = normal(1, 2, 5, 7)
    expected = F.interpolate(
        torch.from_numpy(x), (rows, columns), mode=name, align_corners=corners
    ).numpy()
    coordinates = "align_corners" if corners else "half_pixel"
    found = run(Resize((1, 2, rows, columns), mode=mode, coordinates=coordinates), x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


@given(factor=st.sampled_from([1, 2, 3]), down=st.booleans())
def test_nearest_agrees_with_torch(factor: int, down: bool) -> None:
    x = normal(1, 2, 6, 12)
    size = (6 // factor, 12 // factor) if down else (6 * factor, 12 * factor)
    op = Resize((1, 2, *size), coordinates="asymmetric", rounding="floor")
    expected = F.interpolate(torch.from_numpy(x), size, mode="nearest").numpy()
    np.testing.assert_array_equal(run(op, x), expected)


def test_positions_that_are_whole_numbers_are_not_rounded_below() -> None:
    for extent, size in product(range(1, 30), repeat=2):
        op = Resize((size,), coordinates="asymmetric", rounding="floor")
        exact = [i * extent // size for i in range(size)]
        assert op.positions(0, extent).tolist() == exact


def test_antialiased_resize_agrees_with_torch() -> None:
    x = normal(1, 2, 12, 9)
    expected = F.interpolate(torch.from_numpy(x), (5, 4), mode="bilinear", antialias=True)
    found = run(Resize((1, 2, 5, 4), mode="linear", antialias=True, exclude_outside=True), x)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rounding", "taken"),
    [
        ("floor", [0, 0, 1, 1]),
        ("ceil", [0, 1, 1, 1]),
        ("round_prefer_floor", [0, 0, 1, 1]),
        ("round_prefer_ceil", [0, 1, 1, 1]),
    ],
)
def test_nearest_rounds_as_asked(rounding: str, taken: list[int]) -> None:
    x = f32([0, 1])
    op = Resize((4,), coordinates="asymmetric", rounding=rounding)
    assert run(op, x).tolist() == taken
