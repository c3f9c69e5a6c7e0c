from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from codesign import plugins
from codesign.errors import UsageError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encoding import project
from codesign.ir.encodings import NM, Binary, Bitmap, Block, Csr, Int
from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.shape import Flatten
from codesign.ir.program import Program
from codesign.passes.prune.select import keep
from codesign.rewrite.context import Context
from codesign.rewrite.recorder import costs
from tests.passes.harness import apply, calibrated, kinds
from tests.strategies import inputs_of


def network(*scales: float, seed: int = 0) -> Graph:
    """A convolution and a linear layer whose weights have these standard deviations."""
    b, random = Builder(), np.random.default_rng(seed)
    big, small = scales or (1.0, 1.0)
    w = (random.standard_normal((18, 7, 3, 3)) * big).astype(np.float32)
    y = b.op(Conv(), b.input("x", (1, 7, 5, 5)), b.constant(w, "w"), name="conv")
    v = (random.standard_normal((20, 162)) * small).astype(np.float32)
    return b.graph(b.op(Linear(), b.op(Flatten(1), y), b.constant(v, "v"), name="fc"))


def weights(graph: Graph) -> list[np.ndarray]:
    return [graph.constants[n.operands[1]].array for n in layers(graph)]


def layers(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.kind in ("conv", "linear")]


def zeros(graph: Graph) -> list[float]:
    return [float((w == 0).mean()) for w in weights(graph)]


@given(st.floats(0.05, 0.95), st.integers(0, 9))
def test_the_smallest_of_each_layer_go(sparsity: float, seed: int) -> None:
    before = network(1.0, 0.1, seed=seed)
    after = apply(before, f"prune-magnitude{{sparsity={sparsity!r}}}")
    for old, new in zip(weights(before), weights(after), strict=True):
        gone = new == 0
        if not gone.any():  # it would not be smaller
            assert sparsity < 0.15
            continue
        assert gone.sum() == floor(Fraction(str(sparsity)) * old.size)
        assert np.abs(old[gone]).max() <= np.abs(old[~gone]).min()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(0, 3)), min_size=1),
    st.integers(1, 99),
)
def test_never_more_than_the_share_goes(scores: list[np.ndarray], percent: int) -> None:
    masks = keep(scores, percent / 100)
    joined, mask = np.concatenate(scores), np.concatenate(masks)
    assert (~mask).sum() == percent * joined.size // 100
    assert [m.shape for m in masks] == [s.shape for s in scores]
    assert joined[~mask].max(initial=0) <= joined[mask].min()
    for score, kept in zip(scores, masks, strict=True):
        for value in np.unique(score):
            tied = kept[score == value]
            assert (np.diff(tied.astype(int)) <= 0).all()  # the first stay


def test_of_equal_scores_every_layer_keeps_as_large_a_part() -> None:
    equal = [np.ones(60), np.ones((20, 10)), np.ones(40)]
    assert [int(m.sum()) for m in keep(equal, 0.5)] == [30, 100, 20]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_layers_of_equal_magnitudes_lose_their_share_and_no_more(scope: str) -> None:
    b, random = Builder(), np.random.default_rng(0)
    x = b.input("x", (1, 64))
    for name in ("first", "second"):
        w = np.sign(random.standard_normal((64, 64))).astype(np.float32)
        x = b.op(Linear(), x, b.constant(w, name), name=f"{name}.layer")
    before = b.graph(x)
    assert apply(before, f"prune-magnitude{{sparsity=0.01,scope={scope}}}") == before
    after = apply(before, f"prune-magnitude{{sparsity=0.29,scope={scope}}}")
    first, second = (int((w == 0).sum()) for w in weights(after))
    assert first == 29 * 64 * 64 // 100 and 0 <= second - first <= 1


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("1000x1000", "blocks of 1000x1000 are larger than its 18x63 matrix"),
        ("99999x99999", "larger than its 20x162"),
        ("1x64", "larger than its 18x63"),
        ("1:8", "runs of 8 are longer than its 7 input channels"),
    ],
)
def test_layers_smaller_than_the_pattern_stay(pattern: str, why: str) -> None:
    context, before = Context(), network()
    after = apply(before, f"prune-magnitude{{pattern={pattern}}}", context)
    refused = [note for note in context.notes if not note.done]
    assert any(why in note.text for note in refused)
    assert after.constants["w"] == before.constants["w"] and "conv" in {n.layer for n in refused}


@pytest.mark.parametrize(("sparsity", "left"), [(0.3, 3), (0.5, 2), (0.74, 2), (0.75, 1)])
def test_few_blocks_lose_at_most_their_share(sparsity: float, left: int) -> None:
    b = Builder()
    w = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    before = b.graph(b.op(Linear(), b.input("x", (1, 32)), b.constant(w, "w")))
    after = apply(before, f"prune-magnitude{{pattern=16x16,sparsity={sparsity}}}")
    blocks = weights(after)[0].reshape(2, 16, 2, 16).any(axis=(1, 3))
    assert blocks.sum() == left


def test_one_threshold_for_all_layers() -> None:
    before = network(1.0, 0.1)
    after = apply(before, "prune-magnitude{sparsity=0.7,scope=global}")
    conv, fc = zeros(after)
    share = [w.size for w in weights(before)]
    assert fc > 0.8 > conv
    assert np.dot([conv, fc], share) / sum(share) == pytest.approx(0.7, abs=0.001)


def test_n_of_m_along_the_input_channels() -> None:
    after = apply(network(), "prune-magnitude{pattern=2:4}")
    for node, w in zip(("conv", "fc"), weights(after), strict=True):
        kind = after.types[after.producers[next(iter(after.by_name))].operands[1]]
        assert kind.structure == NM(2, 4), node
        channels = np.moveaxis(w, 1, -1)
        padded = np.pad(channels, [(0, 0)] * (w.ndim - 1) + [(0, -w.shape[1] % 4)])
        counts = (padded.reshape(-1, 4) != 0).sum(axis=1)
        assert counts.max() == 2


def test_the_largest_of_each_run_stay() -> None:
    before, after = network(), apply(network(), "prune-magnitude{pattern=1:4}")
    old = weights(before)[1].reshape(-1, 162)[:, :160].reshape(-1, 4)
    new = weights(after)[1].reshape(-1, 162)[:, :160].reshape(-1, 4)
    assert (np.abs(old).argmax(axis=1) == np.abs(new).argmax(axis=1)).all()


@pytest.mark.parametrize(("pattern", "shape"), [("4x1", (4, 1)), ("1x8", (1, 8)), ("4x4", (4, 4))])
def test_blocks(pattern: str, shape: tuple[int, int]) -> None:
    after = apply(network(), f"prune-magnitude{{pattern={pattern},sparsity=0.6}}")
    rows, columns = shape
    for node, w in zip(("conv", "fc"), weights(after), strict=True):
        structure = after.types[after.nodes[0 if node == "conv" else 2].operands[1]].structure
        assert isinstance(structure, Block) and structure.shape == shape
        flat = w.reshape(w.shape[0], -1)
        padded = np.pad(flat, [(0, -flat.shape[0] % rows), (0, -flat.shape[1] % columns)])
        blocks = padded.reshape(padded.shape[0] // rows, rows, -1, columns).transpose(0, 2, 1, 3)
        alive = (blocks != 0).any(axis=(2, 3))
        assert alive.sum() <= structure.kept
        assert alive.mean() == pytest.approx(0.4, abs=0.02)


def test_the_smaller_of_two_forms_is_stored() -> None:
    def form(sparsity: float) -> str:
        after = apply(network(), f"prune-magnitude{{sparsity={sparsity}}}")
        structure = after.types[after.nodes[2].operands[1]].structure
        assert structure is not None
        return structure.kind

    assert form(0.5) == "bitmap" and form(0.98) == "csr"


def test_what_is_left_dense_is_noted() -> None:
    context = Context()
    before = network()
    after = apply(before, "prune-magnitude{sparsity=0.01,skip=c*}", context)
    assert after == before
    notes = {note.layer: note for note in context.notes}
    assert notes.keys() == {"fc"} and "would not be smaller" in notes["fc"].text
    assert not any(note.done for note in context.notes)
    assert apply(before, "prune-magnitude{min_elements=100000}") == before


def test_weights_that_cannot_be_pruned_stay_and_say_why() -> None:
    b = Builder()
    x, given = b.input("x", (4, 32)), b.input("w", (16, 32))
    ones = np.ones((16, 32), np.float32)
    shifted = b.constant(ones, "shifted", (Int(8, zero=Const(3, "int32")),))
    signs = b.constant(ones, "signs", (Binary(),))
    broken = b.constant(np.where(ones, np.nan, ones).astype(np.float32), "broken")
    product = b.constant(np.ones((32, 16), np.float32), "product")
    layers = [b.op(Linear(), x, w) for w in (given, shifted, signs, broken)]
    before = b.graph(*layers, b.op(MatMul(), x, product))
    context = Context()
    assert apply(before, "prune-magnitude", context) == before
    assert [note.text for note in context.notes] == [
        "its weight is no constant",
        "no code of its int stands for exactly 0 as 0: prune before quantizing",
        "no code of its binary stands for exactly 0 as 0: prune before quantizing",
        "its weight holds NaN or infinity",
    ]


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["", "pattern=2:4", "pattern=4x1"]),
    st.floats(0.55, 0.9),
    st.sampled_from(["layer", "global"]),
)
def test_pruning_again_starts_from_what_is_left(first: str, sparsity: float, scope: str) -> None:
    context, before = Context(), network()
    once = apply(before, f"prune-magnitude{{{first}}}")
    spec = f"prune-magnitude{{sparsity={sparsity!r},scope={scope}}}"
    twice = apply(once, spec, context)
    assert all(note.done for note in context.notes) and len(context.notes) == 2
    total = sum(w.size for w in weights(twice))
    gone = sum(int((w == 0).sum()) for w in weights(twice))
    assert 0 <= sparsity * total - gone < 2 + 1e-6 * total
    for was, left, node in zip(weights(once), weights(twice), layers(twice), strict=True):
        assert ((left == was) | (left == 0)).all()
        structure = twice.types[node.operands[1]].structure
        assert isinstance(structure, Bitmap | Csr) and structure.nnz == np.count_nonzero(left)
    assert apply(twice, spec) == twice
    assert apply(twice, "prune-magnitude{sparsity=0.3}", context) == twice
    assert all("are zero already" in note.text for note in context.notes)


def test_what_is_stored_smaller_already_is_not_stored_larger() -> None:
    context = Context()
    once = apply(network(), "prune-magnitude{sparsity=0.9}")
    assert apply(once, "prune-magnitude{pattern=2:4}", context) == once
    assert all("larger stored than as" in note.text for note in context.notes)


@settings(deadline=None, max_examples=20)
@given(
    st.sampled_from(["sparsity=0.6", "pattern=2:4", "pattern=4x1", "sparsity=0.7,scope=global"]),
    st.booleans(),
)
def test_quantized_layers_keep_their_codes(options: str, per_channel: bool) -> None:
    before = network()
    context = calibrated(before)
    spec = f"quantize-int8{{per_channel={str(per_channel).lower()}}}"
    coded = apply(before, spec, context)
    after = apply(coded, f"prune-magnitude{{{options}}}", context)
    assert all(note.done for note in context.notes)
    assert kinds(after) == kinds(coded)
    for old, new in zip(layers(coded), layers(after), strict=True):
        was, now = coded.types[old.operands[1]], after.types[new.operands[1]]
        assert now.structure is not None and now.element == was.element
        assert after.output_types(new) == coded.output_types(old)
        x, y = (g.constants[n.operands[1]].array for g, n in ((coded, old), (after, new)))
        assert ((x == y) | (y == 0)).all() and (y == 0).mean() > 0.4
        np.testing.assert_array_equal(project(now.encodings, y), y)
    data = inputs_of(after)
    for name, array in evaluate(after, data).items():
        np.testing.assert_allclose(evaluate_integer(after, data)[name], array, rtol=1e-4, atol=1e-3)


def test_a_weight_of_zeros_and_a_shared_weight() -> None:
    b = Builder()
    w = b.constant(np.zeros((16, 32), np.float32), "zeros")
    v = b.constant(np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32), "shared")
    x = b.op(Linear(), b.input("x", (4, 32)), v)
    before = b.graph(b.op(Linear(), b.op(Linear(), x, v), w))
    after = apply(before, "prune-magnitude{sparsity=0.9}")
    assert kinds(after) == ["linear"] * 3
    first, second, last = (after.constants[n.operands[1]] for n in after.nodes)
    assert first == second and not last.array.any()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("sparsity=1", "sparsity is 1"),
        ("sparsity=0", "sparsity is 0"),
        ("pattern=stripes", "expected unstructured, n:m or RxC"),
        ("pattern=4:4", "keeps everything"),
        ("pattern=0x4", "positive"),
        ("pattern=1:999", "runs of more than 256"),
        ("pattern=2:4,sparsity=0.7", "pattern 2:4 makes 0.5 of each run zero, but sparsity is 0.7"),
        ("pattern=1:4,scope=global", "scope=global has no meaning"),
        ("scope=network", "expected one of layer, global|expected one of global, layer"),
    ],
)
def test_options(options: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        apply(network(), f"prune-magnitude{{{options}}}")


@pytest.mark.parametrize("options", ["pattern=2:4,sparsity=0.5", "pattern=1:3,sparsity=0.667"])
def test_runs_take_the_sparsity_that_they_have(options: str) -> None:
    pattern = options.partition(",")[0]
    asked, alone = (apply(network(), f"prune-magnitude{{{o}}}") for o in (options, pattern))
    assert asked == alone


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("bitfusion", "zeros only take less to store"),
        ("eyeriss", "zeros only take less to store"),
        ("eyeriss_v2", "uJ become"),
    ],
)
def test_what_zeros_buy_on_a_machine_is_asked_of_it_and_noted(spec: str, says: str) -> None:
    b = Builder()
    w = b.constant(np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32), "w")
    graph = b.graph(b.op(Linear(), b.input("x", (4, 32)), w, name="y"), output_names=["out"])
    target = plugins.make("target", spec)
    here = Context(target=target)
    after = apply(graph, "prune-magnitude{sparsity=0.75}", here)
    first, note = here.notes
    skips = spec == "eyeriss_v2"
    assert first.layer == "y" and ("saves no time nor energy" in first.text) != skips
    assert (not here.remarks) if skips else (says in here.remarks[0])
    assert note.layer == "out" and says in note.text and f" on {target.spec}" in note.text
    one, two = (costs(Program(g), target, timed=False).estimate for g in (graph, after))
    assert one is not None and two is not None and f"{one.latency_ms:.4g} ms become" in note.text
    assert (two.latency_ms < one.latency_ms) == skips
    assert (two.energy_uj or 0.0) <= (one.energy_uj or 0.0)
