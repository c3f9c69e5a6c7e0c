import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Program
from codesign.passes.factorize.low_rank import largest_rank, spectrum
from codesign.rewrite.context import Context
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, kinds, lines, same


def low_rank(rank: int, m: int, k: int, noise: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    product: np.ndarray = random.standard_normal((m, rank)) @ random.standard_normal((rank, k))
    return (product + noise * random.standard_normal((m, k))).astype(np.float32)


def conv(matrix: np.ndarray, taps: int, stride: int = 2, bias: bool = True) -> Graph:
    b = Builder()
    m, c = matrix.shape[0], matrix.shape[1] // taps**2
    w = b.constant(matrix.reshape(m, c, taps, taps), "w")
    op = Conv((stride,) * 2, ((taps // 2, 0),) * 2)
    rest = [b.constant(np.arange(m, dtype=np.float32), "b")] if bias else []
    return b.graph(b.op(op, b.input("x", (1, c, 7, 7)), w, *rest, name="y"), output_names=["out"])


def linear(matrix: np.ndarray, *lines: int) -> Graph:
    b = Builder()
    x = b.input("x", (*(lines or (2,)), matrix.shape[1]))
    return b.graph(b.op(Linear(), x, b.constant(matrix, "w"), name="y"), output_names=["out"])


@pytest.mark.parametrize("taps", [1, 3])
def test_a_convolution_of_low_rank_becomes_two(taps: int) -> None:
    before = conv(low_rank(5, 24, 8 * taps**2), taps)
    after = apply(before, "factorize-svd{by=error,error=1e-5}")
    assert lines(after) == ["y.inner=conv(x, w.v)", "y=conv(y.inner, w.u, b)"]
    assert after.types["w.v"].shape == (5, 8, taps, taps)
    assert after.types["w.u"].shape == (24, 5, 1, 1)
    same(before, after)


def test_a_linear_layer_over_several_axes() -> None:
    before = linear(low_rank(3, 30, 40), 2, 3)
    after = apply(before, "factorize-svd{by=energy,keep=0.99999}")
    assert kinds(after) == ["linear", "linear"]
    same(before, after, 1e-2)


@given(st.floats(0.02, 0.6))
def test_the_error_of_the_weight_is_below_its_bound(error: float) -> None:
    before = linear(low_rank(10, 60, 50, 0.5))
    after = apply(before, f"factorize-svd{{by=error,error={error},slower=true}}")
    u, v = (after.constants[name].array for name in ("w.u", "w.v"))
    w = before.constants["w"].array
    assert np.linalg.norm(w - u @ v) <= error * np.linalg.norm(w) * (1 + 1e-5)
    rank = v.shape[0]
    best = spectrum(w)
    assert rank == 1 or best.energy(rank - 1) < 1 - error**2


def test_the_rank_that_keeps_the_energy() -> None:
    diagonal = np.diag(np.array([3.0, 2.0, 1.0, 0.0])).astype(np.float32)
    found = spectrum(diagonal)
    assert [found.rank_for(e) for e in (0.5, 9 / 14 - 1e-9, 0.65, 13 / 14 - 1e-9, 0.95, 1.0)] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    assert spectrum(np.zeros((3, 3))).rank_for(0.9) == 1


@given(st.integers(1, 200), st.integers(1, 16), st.integers(0, 300))
def test_the_largest_rank_that_fits(full: int, step: int, limit: int) -> None:
    ranks = [r for r in range(step, full, step) if r <= limit]
    assert largest_rank(full, step, lambda r: r <= limit) == (ranks[-1] if ranks else None)


def test_full_ranks_are_not_worth_it_and_noted() -> None:
    before = linear(np.eye(40, dtype=np.float32))
    context = Context()
    assert apply(before, "factorize-svd", context) == before
    assert "would not be smaller" in context.notes[0].text and not context.notes[0].done


def test_grouped_and_skipped_layers_stay() -> None:
    b = Builder()
    w = b.constant(np.ones((8, 4, 3, 3), np.float32), "w")
    before = b.graph(b.op(Conv(groups=2), b.input("x", (1, 8, 5, 5)), w, name="y"))
    context = Context()
    assert apply(before, "factorize-svd", context) == before
    assert "grouped" in context.notes[0].text
    plain = linear(low_rank(2, 40, 40))
    assert apply(plain, "factorize-svd{skip=y}") == plain


def test_a_layer_that_would_be_slower_on_the_target_stays() -> None:
    small = conv(low_rank(4, 16, 16), 1, 1, False)
    context = Context(target=Cpu("avx2"))
    assert apply(small, "factorize-svd{keep=0.99}", context) == small
    assert "ms would be" in context.notes[-1].text and not context.notes[-1].done
    forced = apply(small, "factorize-svd{keep=0.99,slower=true}", context)
    assert kinds(forced) == ["conv", "conv"]
    large = linear(low_rank(16, 1024, 1024), 64)
    assert kinds(apply(large, "factorize-svd", context)) == ["linear", "linear"]


def test_ranks_by_cost_take_at_most_the_share_of_the_time() -> None:
    before = linear(low_rank(300, 768, 768), 128)
    target = Cpu("avx2")
    context = Context(target=target)
    after = apply(before, "factorize-svd{by=cost,keep=0.5}", context)
    cost = [target.estimate(target.place(Program(graph))).latency_ms for graph in (before, after)]
    assert len(after.nodes) == 2 and cost[1] <= 0.51 * cost[0]
    tiny = conv(low_rank(2, 8, 8), 1, 1, False)
    assert apply(tiny, "factorize-svd{by=cost,keep=0.1}", context) == tiny
    assert "no rank takes 10%" in context.notes[-1].text


@pytest.mark.parametrize("options", ["keep=1", "keep=0", "error=1.5", "by=magic"])
def test_options(options: str) -> None:
    with pytest.raises(UsageError, match="factorize-svd"):
        apply(linear(low_rank(2, 8, 8)), f"factorize-svd{{{options}}}")


def test_costs_need_a_target() -> None:
    with pytest.raises(UsageError, match="--target"):
        apply(linear(low_rank(2, 8, 8)), "factorize-svd{by=cost}")
