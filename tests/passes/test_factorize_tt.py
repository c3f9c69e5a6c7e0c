import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.passes.factorize.tensor_train import split, train
from codesign.rewrite.context import Context
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, kinds, same

EXACT = "factorize-tt{by=error,error=1e-6,slower=true}"


def conv(m: int, c: int, taps: int, stride: int = 1, axes: int = 2) -> Graph:
    b, random = Builder(), np.random.default_rng(0)
    w = random.standard_normal((m, c, *(taps,) * axes)).astype(np.float32)
    op = Conv((stride,) * axes, ((1, 0),) * axes if taps > 1 else ((0, 0),) * axes, (1,) * axes)
    bias = b.constant(random.standard_normal(m).astype(np.float32), "b")
    x = b.input("x", (2, c, *(5, 6, 4)[:axes]))
    return b.graph(b.op(op, x, b.constant(w, "w"), bias, name="y"), output_names=["out"])


def linear(m: int, k: int, *lines: int) -> Graph:
    b, random = Builder(), np.random.default_rng(0)
    w = b.constant(random.standard_normal((m, k)).astype(np.float32), "w")
    bias = b.constant(random.standard_normal(m).astype(np.float32), "b")
    y = b.op(Linear(), b.input("x", (*lines, k)), w, bias, name="y")
    return b.graph(y, output_names=["out"])


@pytest.mark.parametrize(
    "before",
    [
        conv(12, 6, 3), conv(12, 6, 3, 2), conv(9, 10, 1), conv(4, 6, 3, 1, 1), conv(6, 4, 1, 1, 3),
        linear(12, 35, 3), linear(12, 35, 2, 3), conv(8, 8, 1, 2),
    ],
    ids=["3x3", "strided", "1x1", "1d", "1x1x1", "linear", "linear of rank 3", "strided 1x1"],
)  # fmt: skip
def test_full_trains_compute_the_same(before: Graph) -> None:
    after = apply(before, EXACT)
    assert len(after.nodes) > 1
    same(before, after)


def test_a_convolution_becomes_three() -> None:
    after = apply(conv(12, 6, 3, 2), EXACT)
    assert kinds(after) == ["conv"] * 3
    first, middle, last = (n.op for n in after.nodes)
    assert isinstance(middle, Conv) and middle.strides == (2, 2)
    assert isinstance(first, Conv) and first.strides == (1, 1) and first.pads == ((0, 0),) * 2
    assert last == first


def contracted(cores: list[np.ndarray]) -> np.ndarray:
    whole = cores[0]
    for core in cores[1:]:
        whole = np.tensordot(whole, core, axes=1)
    return whole[0, ..., 0]


@st.composite
def tensors(draw: st.DrawFn) -> np.ndarray:
    """Random tensors, many of them with slices of very different scales and of low rank."""
    shape = draw(st.lists(st.integers(1, 7), min_size=2, max_size=4))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    tensor = random.standard_normal(shape)
    for axis, extent in enumerate(shape):
        decay = draw(st.sampled_from([1.0, 0.7, 0.1, 1e-4]))
        scales = decay ** random.permutation(extent)
        tensor = tensor * scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return tensor * draw(st.sampled_from([1.0, 1e-12, 1e12]))


@settings(deadline=None, max_examples=60)
@given(tensors(), st.floats(1e-6, 0.999))
def test_trains_keep_their_error(tensor: np.ndarray, error: float) -> None:
    cores = train(tensor, 1 - error**2)
    lost = np.linalg.norm(tensor - contracted(cores)) / np.linalg.norm(tensor)
    assert lost <= error * (1 + 1e-6)
    assert [core.shape[1] for core in cores] == list(tensor.shape)
    assert cores[0].shape[0] == cores[-1].shape[2] == 1


@pytest.mark.parametrize("error", [0.1, 0.3, 0.6])
def test_a_train_whose_first_values_are_small_keeps_its_error(error: float) -> None:
    """One slice spread over many directions, the others weak: scales shared early hide the loss."""
    tensor = np.zeros((16, 9, 32))
    for i in range(9):
        tensor[0, i, 20 + i] = 0.97**i
    tensor[0] /= np.linalg.norm(tensor[0])
    for j in range(1, 16):
        tensor[j, (j - 1) % 9, (j - 1) // 9] = 0.3
    lost = np.linalg.norm(tensor - contracted(train(tensor, 1 - error**2)))
    assert 0 < lost / np.linalg.norm(tensor) <= error


def test_both_sides_of_a_train_share_its_scale() -> None:
    tensor = 1e6 * np.random.default_rng(0).standard_normal((5, 9, 7))
    peaks = [np.abs(core).max() for core in train(tensor, 0.9)]
    assert max(peaks) / min(peaks) < 1e5
    assert not contracted(train(np.zeros((3, 4, 5)), 0.9)).any()


@given(st.integers(1, 5000))
def test_factors_are_as_near_as_can_be(extent: int) -> None:
    small, large = split(extent)
    assert small * large == extent and small <= large
    assert not any(extent % d == 0 for d in range(small + 1, int(extent**0.5) + 1))


def test_what_has_no_train_is_noted() -> None:
    b = Builder()
    w = b.constant(np.ones((8, 4, 3, 3), np.float32), "w")
    grouped = b.graph(b.op(Conv(groups=2), b.input("x", (1, 8, 5, 5)), w, name="y"))
    for before, why in [
        (grouped, "grouped"),
        (linear(7, 12, 3), "cannot be split"),
        (linear(32, 32, 3), "would not be smaller"),
    ]:
        context = Context()
        assert apply(before, "factorize-tt{keep=0.999}", context) == before
        assert why in context.notes[0].text and not context.notes[0].done


def test_a_layer_that_would_be_slower_on_the_target_stays() -> None:
    context = Context(target=Cpu("avx2"))
    before = linear(32, 32, 3)
    assert apply(before, "factorize-tt{keep=0.3}", context) == before
    assert "ms would be" in context.notes[-1].text and not context.notes[-1].done
    assert apply(before, "factorize-tt{by=cost,keep=0.1}", context) == before
    assert "no train takes 10%" in context.notes[-1].text
    large = conv(128, 128, 3)
    faster = apply(large, "factorize-tt{by=cost,keep=0.7}", context)
    assert kinds(faster) == ["conv"] * 3 or faster == large


@pytest.mark.parametrize("options", ["keep=1", "keep=0", "error=1.5", "by=magic"])
def test_options(options: str) -> None:
    with pytest.raises(UsageError, match="factorize-tt"):
        apply(linear(8, 8, 2), f"factorize-tt{{{options}}}")


def test_costs_need_a_target() -> None:
    with pytest.raises(UsageError, match="--target"):
        apply(linear(8, 8, 2), "factorize-tt{by=cost}")
