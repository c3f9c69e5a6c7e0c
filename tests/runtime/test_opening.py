"""What is opened is what is in the folder now, and stays it."""

from pathlib import Path

import numpy as np

import codesign as cd
from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Sigmoid
from tests.small import small_graph, small_input


def test_an_artifact_that_replaced_another_is_what_is_opened(tmp_path: Path) -> None:
    """The system would take the new library for the old one, which had the same path."""
    first = cd.compile(small_graph(), measure="none")
    first.save(tmp_path / "out")
    opened = cd.open(tmp_path / "out")
    before = opened(small_input())
    builder = Builder("other")
    x = builder.input("x", small_input().shape)
    other = cd.compile(builder.graph(builder.op(Sigmoid(), x)), measure="none")
    other.save(tmp_path / "out")
    again = cd.open(tmp_path / "out")
    np.testing.assert_array_equal(again(small_input()), other(small_input()))
    np.testing.assert_array_equal(opened(small_input()), before)
    opened.save(tmp_path / "kept")
    np.testing.assert_array_equal(cd.open(tmp_path / "kept")(small_input()), before)
