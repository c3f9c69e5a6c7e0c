import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import UsageError
from codesign.ir.builder import Builder
from codesign.ir.encodings import NM, Block, Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.shape import Flatten
from codesign.rewrite.context import Context
from tests.passes.harness import apply, kinds


def network(*scales: float, seed: int = 0) -> Graph:
    """A convolution and a linear layer whose weights have these standard deviations."""
    b, random = Builder(), np.random.default_rng(seed)
    big, small = scales or (1.0, 1.0)
    w = (random.standard_normal((18, 7, 3, 3)) * big).astype(np.float32)
    y = b.op(Conv(), b.input("x", (1, 7, 5, 5)), b.constant(w, "w"), name="conv")
    v = (random.standard_normal((20, 162)) * small).astype(np.float32)
    return b.graph(b.op(Linear(), b.op(Flatten(1), y), b.constant(v, "v"), name="fc"))


def weights(graph: Graph) -> list[np.ndarray]:
    return [graph.constants[n.operands[1]].array for n in graph.nodes if len(n.operands) > 1]


def zeros(graph: Graph) -> list[float]:
    return [float((w == 0).mean()) for w in weights(graph)]


@given(st.floats(0.05, 0.95), st.integers(0, 9))
def test_the_smallest_of_each_layer_go(sparsity: float, seed: int) -> None:
    before = network(1.0, 0.1, seed=seed)
    after = apply(before, f"prune-magnitude{{sparsity={sparsity}}}")
    for old, new in zip(weights(before), weights(after), strict=True):
        gone = new == 0
        if not gone.any():  # it would not be smaller
            assert sparsity < 0.15
            continue
        assert abs(gone.mean() - sparsity) < 2 / old.size + 1e-9
        assert np.abs(old[gone]).max() <= np.abs(old[~gone]).min()


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


def test_weights_that_are_no_plain_constants_stay() -> None:
    b = Builder()
    x, given = b.input("x", (4, 32)), b.input("w", (16, 32))
    coded = b.constant(np.ones((16, 32), np.float32), "coded", (Int(8),))
    product = b.constant(np.ones((32, 16), np.float32), "product")
    before = b.graph(b.op(Linear(), x, given), b.op(Linear(), x, coded), b.op(MatMul(), x, product))
    context = Context()
    assert apply(before, "prune-magnitude", context) == before
    assert [note.text for note in context.notes] == [
        "its weight is no constant",
        "already stored as int8; put prune-magnitude before quantize-int8",
    ]


def test_what_is_pruned_already_stays_and_says_so() -> None:
    context = Context()
    pruned = apply(network(), "prune-magnitude{pattern=2:4}")
    assert apply(pruned, "prune-magnitude{sparsity=0.7}", context) == pruned
    assert all("already stored as nm<2, 4>; put" in note.text for note in context.notes)
    assert len(context.notes) == 2


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
        ("scope=network", "expected one of layer, global|expected one of global, layer"),
    ],
)
def test_options(options: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        apply(network(), f"prune-magnitude{{{options}}}")
