"""Integer inputs that pick rows are checked when they are bound, as torch checks them."""

from pathlib import Path

import numpy as np
import pytest

import codesign as cd
from codesign.analysis.positions import position_bounds
from codesign.errors import DataError
from codesign.ir.builder import Builder
from codesign.ir.dtype import DType
from codesign.ir.graph import Graph
from codesign.ir.ops.cast import Cast
from codesign.ir.ops.gather import Embedding, Gather, GatherElements, GatherNd
from codesign.ir.ops.shape import Reshape

TABLE = np.arange(150, dtype=np.float32).reshape(50, 3)


def looked_up() -> Graph:
    """`ids` pick rows of an embedding, `at` columns of it by gather, `free` nothing."""
    b = Builder("tokens")
    ids, at = b.input("ids", (1, 4), DType.I64), b.input("at", (2,), DType.I64)
    free = b.input("free", (2,), DType.I64)
    rows = b.op(Embedding(), b.op(Reshape((4,)), b.op(Cast("i32"), ids)), b.constant(TABLE, "w"))
    picked = b.op(Gather(1), rows, at)
    return b.graph(rows, picked, free, output_names=["rows", "picked", "same"])


def test_bounds_follow_views_and_casts_to_what_is_picked_from() -> None:
    assert position_bounds(looked_up()) == {"ids": (0, 49), "at": (-3, 2)}


def test_bounds_are_the_narrowest_of_all_uses_and_the_widest_of_coordinates() -> None:
    b = Builder("uses")
    x = b.input("x", (4, 9))
    at, pairs = b.input("at", (2, 9), DType.I64), b.input("pairs", (5, 2), DType.I64)
    one = b.op(GatherElements(0), x, at)
    two = b.op(Gather(1), x, at)
    graph = b.graph(one, two, b.op(GatherNd(), x, pairs), output_names=["a", "b", "c"])
    assert position_bounds(graph) == {"at": (-4, 3), "pairs": (-9, 8)}


def test_what_is_out_of_range_is_refused_by_name_before_and_after_saving(tmp_path: Path) -> None:
    compiled = cd.compile(looked_up(), measure="none")
    opened = cd.open(compiled.save(tmp_path / "out"))
    assert opened.inputs == compiled.inputs and opened.inputs[0].bounds == (0, 49)
    good = {"ids": np.array([[0, 49, 7, 7]]), "at": np.array([-1, 0]), "free": np.array([99, -99])}
    for one in (compiled, opened):
        found = one.run(good)
        np.testing.assert_array_equal(found["rows"], TABLE[[0, 49, 7, 7]])
        np.testing.assert_array_equal(found["picked"], TABLE[[0, 49, 7, 7]][:, [-1, 0]])
        for name, wrong, words in (
            ("ids", [[0, 1, 50, 99]], r"input ids holds 50 at \[0, 2\].* expected 0 to 49"),
            ("ids", [[-1, 0, 0, 0]], r"input ids holds -1 at \[0, 0\]"),
            ("at", [0, 3], r"input at holds 3 at \[1\].* expected -3 to 2"),
        ):
            with pytest.raises(DataError, match=words):
                one.run({**good, name: np.array(wrong)})
