"""Scores over many samples at a time equal those one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Reshape
from codesign.rewrite.context import Dataset
from codesign.rewrite.rebatch import batch_of, rebatch
from codesign.rewrite.score import BATCH, accuracy, answers, snr_db
from tests.small import small_graph, small_input


def one_by_one(graph: Graph, x: np.ndarray) -> np.ndarray:
    rows = [evaluate(graph, {"x": row[None]})["out"] for row in x]
    return np.concatenate(rows)


@settings(max_examples=8)
@given(st.sampled_from([1, 2, 5, BATCH, BATCH + 3]))
def test_answers_of_many_samples_are_those_of_each(count: int) -> None:
    x = small_input(count)
    found = answers(small_graph(), Dataset({"x": x}), limit=1000)["out"]
    np.testing.assert_allclose(found, one_by_one(small_graph(), x), rtol=1e-4, atol=1e-5)


def test_the_limit_counts_samples() -> None:
    found = answers(small_graph(), Dataset({"x": small_input(9)}), limit=4)["out"]
    assert found.shape == (4, 16, 8, 8)


def test_rebatched_graph_keeps_everything_but_the_first_extent() -> None:
    graph = small_graph()
    wide = rebatch(graph, 7)
    assert wide is not None and batch_of(wide) == 7 and batch_of(graph) == 1
    assert wide.types["out" if "out" in wide.types else wide.outputs[0]].shape == (7, 16, 8, 8)
    assert wide.nodes == graph.nodes and wide.constants == graph.constants


def fixed_shape() -> Graph:
    b = Builder("fixed")
    x = b.input("x", (1, 3, 8, 8))
    return b.graph(b.op(Reshape((1, 192)), x), output_names=["out"])


def mixing() -> Graph:
    """An op that looks across samples."""
    b = Builder("mixing")
    x = b.input("x", (1, 3, 8, 8))
    return b.graph(b.op(Relu(), b.op(ReduceMean((0,), True), x)), output_names=["out"])


@pytest.mark.parametrize("make", [fixed_shape, mixing])
def test_graphs_that_need_their_batch_are_run_one_by_one(make: object) -> None:
    graph: Graph = make()  # type: ignore[operator]
    x = small_input(5)
    found = answers(graph, Dataset({"x": x}), limit=5)["out"]
    np.testing.assert_allclose(found, one_by_one(graph, x), rtol=1e-5, atol=1e-6)


def test_accuracy_is_the_share_of_largest_outputs_at_the_label() -> None:
    outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.4], [1.0, 0.0]], np.float32)
    assert accuracy(outputs, np.array([1, 1, 1, 0])) == 0.75
    assert accuracy(outputs.reshape(4, 2, 1, 1), np.array([1, 0, 1, 0])) == 1.0


def test_signal_to_noise_ratio_in_decibels() -> None:
    want = {"y": np.array([3.0, 4.0])}
    assert snr_db(want, {"y": np.array([3.0, 4.5])}) == pytest.approx(20.0)
    assert snr_db(want, want) == 200.0
    assert snr_db(want, {"y": np.zeros(2)}) == pytest.approx(0.0)
