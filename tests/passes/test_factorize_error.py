"""What factorization may lose of a weight is never exceeded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.passes.factorize.low_rank import spectrum
from tests.passes.harness import apply, calibrated

ROUNDING = 1e-6  # of float32 weights and sums


def layer(weight: np.ndarray) -> tuple[Graph, np.ndarray]:
    """One layer, and an input for which its result is its weight, reordered."""
    b, c = Builder(), weight.shape[1]
    w = b.constant(weight, "w")
    if weight.ndim == 2:
        return b.graph(b.op(Linear(), b.input("x", (c, c)), w, name="y")), np.eye(c)
    size = weight.shape[2]
    impulses = np.zeros((c, c, 2 * size - 1, 2 * size - 1))
    impulses[range(c), range(c), size - 1, size - 1] = 1
    x = b.input("x", impulses.shape)
    return b.graph(b.op(Conv(pads=((0, 0),) * 2), x, w, name="y")), impulses


@st.composite
def weights(draw: st.DrawFn) -> np.ndarray:
    """Weights of linear layers and convolutions, their channels of different scales."""
    shape = draw(st.sampled_from([(12, 35), (16, 9), (12, 10, 3, 3), (6, 8, 1, 1)]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    weight = random.standard_normal(shape)
    for axis, extent in enumerate(shape):
        decay = draw(st.sampled_from([1.0, 0.8, 0.3]))
        scales = decay ** random.permutation(extent)
        weight = weight * scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return (weight * draw(st.sampled_from([1.0, 1e-9, 1e9]))).astype(np.float32)


def lost(before: Graph, after: Graph, x: np.ndarray) -> float:
    data = {"x": x.astype(np.float32)}
    want, got = (evaluate(g, data)["y"].astype(np.float64) for g in (before, after))
    return float(np.linalg.norm(want - got) / np.linalg.norm(want))


@pytest.mark.parametrize("kind", ["svd", "tt"])
@settings(deadline=None, max_examples=40)
@given(weight=weights(), error=st.floats(1e-4, 0.99), by=st.sampled_from(["energy", "error"]))
def test_layers_keep_their_error(kind: str, weight: np.ndarray, error: float, by: str) -> None:
    before, x = layer(weight)
    asked = f"error={error!r}" if by == "error" else f"keep={max(1 - error**2, 0.01)!r}"
    after = apply(before, f"factorize-{kind}{{by={by},{asked},slower=true}}")
    assert len(after.nodes) > 1
    assert lost(before, after, x) <= error + ROUNDING


@settings(deadline=None, max_examples=40)
@given(weight=weights(), error=st.floats(1e-6, 0.99))
def test_ranks_are_the_least_that_do(weight: np.ndarray, error: float) -> None:
    matrix = weight.reshape(weight.shape[0], -1).astype(np.float64)
    found = spectrum(matrix)
    rank = found.rank_for(1 - error**2)

    def missed(r: int) -> float:
        return float(np.linalg.norm(matrix - np.matmul(*found.factors(r))) / np.linalg.norm(matrix))

    assert missed(rank) <= error * (1 + 1e-6) + 1e-12
    assert rank == 1 or missed(rank - 1) > error * (1 - 1e-3)


@pytest.mark.parametrize("kind", ["svd", "tt"])
def test_coded_and_sparse_layers_stay_and_say_what_to_do(kind: str) -> None:
    before, _ = layer(np.random.default_rng(0).standard_normal((16, 32)).astype(np.float32))
    context, name = calibrated(before, 32), f"factorize-{kind}"
    for step, text in [
        ("quantize-int8", f"stored as int8, and {name} needs floats: run it before quanti"),
        ("prune-magnitude", f"stored as bitmap<256>, and {name} would fill its zeros: run"),
    ]:
        changed = apply(before, step, context)
        assert apply(changed, name, context) == changed
        (note,) = context.notes
        assert note.text.startswith(text) and not note.done
