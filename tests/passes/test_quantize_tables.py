"""Tables that are looked up, in 8-bit codes with a scale for each column."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codesign
from codesign import plugins
from codesign.errors import UnknownNameError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.dtype import DType
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.gather import Embedding, Gather
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import LayerNorm
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.ir.text import named_constants
from codesign.passes.quantize import tables
from codesign.passes.quantize.scales import table
from codesign.rewrite.context import Context, Dataset
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, kinds, snr_db
from tests.targets.tvm.harness import run

ROWS, COLUMNS = 90, 48


class Net(Builder):
    """A builder with tables whose columns differ in scale, and positions to look up."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__("net")
        self.random = np.random.default_rng(seed)
        self.data: dict[str, np.ndarray] = {}

    def positions(self, low: int, high: int, *shape: int) -> str:
        value = self.input("ids", shape, DType.I64)
        self.data[value] = self.random.integers(low, high, shape)
        return value

    def table(self, rows: int = ROWS, columns: int = COLUMNS, name: str = "table") -> str:
        spread = 2.0 ** self.random.integers(-6, 4, columns)
        content = self.random.standard_normal((rows, columns)) * spread
        return self.constant(content.astype(np.float32), name)

    def linear(self, x: str, outputs: int, name: str) -> str:
        inputs = self.types[x].shape[-1]
        w = self.random.standard_normal((outputs, inputs)) * inputs**-0.5
        return self.op(Linear(), x, self.constant(w.astype(np.float32), "w"), name=name)

    def context(self, **more: object) -> Context:
        data = {name: np.concatenate([array] * 4) for name, array in self.data.items()}
        return Context(calibration=Dataset(data), **more)  # type: ignore[arg-type]


def language_model() -> tuple[Net, Graph]:
    """Words and segments added, normalized and multiplied."""
    b = Net()
    ids = b.positions(0, ROWS, 1, 12)
    words = b.op(Gather(0), b.table(), ids, name="words")
    places = b.op(Embedding(), b.constant(np.arange(12)[None] % 5), b.table(), name="places")
    x = b.op(Add(), words, places, name="sum")
    ones = [b.constant(np.full(COLUMNS, v, np.float32)) for v in (1, 0)]
    x = b.op(LayerNorm(2), x, *ones, name="norm")
    return b, b.graph(b.linear(x, 32, "fc"), output_names=["out"])


def noted(context: Context) -> dict[str, str]:
    """What the pass said of the layers that it left."""
    return {note.layer: note.text for note in context.notes if not note.done}


def coded(graph: Graph) -> set[str]:
    """The lookups that read codes."""
    return {n for n, t in tables.lookups(graph).items() if graph.types[t].integer is not None}


def test_rows_are_codes_that_what_reads_them_decodes() -> None:
    b, before = language_model()
    after = apply(before, "quantize-int8", b.context())
    assert kinds(after) == ["gather", "embedding", "add", "layer_norm", "encode", "linear"]
    form = after.types[after.by_name["words"].operands[0]].integer
    out = after.types["words"].integer
    assert form is not None and out is not None and after.types["sum"].element is None
    assert (form.width, form.signed, form.axis, out.axis) == (8, True, 1, 2)
    assert form.symmetric and form.scale == out.scale and form.scale.shape == (COLUMNS,)
    want, got = evaluate(before, b.data)["out"], evaluate(after, b.data)["out"]
    assert snr_db(want, got) > 30
    assert snr_db(got, evaluate_integer(after, b.data)["out"]) > 40


def test_a_lookup_alone_needs_no_calibration_and_decodes_once() -> None:
    b = Net()
    rows = b.op(Embedding(), b.positions(0, ROWS, 3, 7), b.table(), name="rows")
    ones = [b.constant(np.full(COLUMNS, v, np.float32)) for v in (1, 0)]
    before = b.graph(rows, b.op(LayerNorm(2), rows, *ones), output_names=["rows", "norm"])
    after = apply(before, "quantize-int8")
    assert kinds(after) == ["embedding", "decode", "layer_norm"]
    assert all(after.types[v].encodings == () for v in after.outputs)
    columns = evaluate(before, b.data)["rows"], evaluate(after, b.data)["rows"]
    for i in range(COLUMNS):
        assert snr_db(columns[0][..., i], columns[1][..., i]) > 25
    again = Context()
    assert apply(after, "quantize-int8", again) == after
    assert "stored as" in noted(again)["rows"]


def test_codes_print_parse_and_stay_through_other_passes() -> None:
    b, before = language_model()
    after = apply(before, "quantize-int8", b.context())
    program = Program(after)
    assert parse_program(str(program), named_constants(after)) == program
    for spec in ("canonicalize", "common-subexpressions", "dead-code"):
        assert apply(after, spec) == after


def test_skipped_lookups_stay_in_float() -> None:
    b, before = language_model()
    context = b.context()
    after = apply(before, "quantize-int8{skip=word*}", context)
    assert coded(after) == {"places"} and noted(context) == {}
    assert after.types["words"].element is None
    for pattern in ("sum", "nothing"):
        with pytest.raises(UnknownNameError, match="skip of quantize-int8"):
            apply(before, f"quantize-int8{{skip={pattern}}}", b.context())
    for spec in ("prune-magnitude", "factorize-svd"):
        with pytest.raises(UnknownNameError, match=f"skip of {spec}"):
            apply(before, f"{spec}{{skip=words}}", b.context())


def test_tables_without_codes_say_why() -> None:
    b = Net()
    ids = b.positions(0, ROWS, 1, 4)
    content = b.random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    endless, spiked = content.copy(), content.copy()
    endless[3, 3] = -np.inf
    spiked[7] = 1e6
    made: dict[str, np.ndarray] = {
        "endless": endless,
        "spiked": spiked,
        "half": content.astype(np.float16),
    }
    looked = [b.op(Gather(0), b.constant(a, f"{n}.w"), ids, name=n) for n, a in made.items()]
    tied = b.constant(content, "tied.w")
    looked.append(b.op(Embedding(), ids, tied, name="tied"))
    looked.append(b.op(Relu(), tied, name="whole"))
    looked.append(b.op(Embedding(), ids, b.table(8, 8), name="small"))
    before, context = b.graph(*looked), Context()
    assert apply(before, "quantize-int8", context) == before
    said = noted(context)
    assert set(said) == {"endless", "spiked", "half", "tied"}
    assert "not finite" in said["endless"] and "would become zero" in said["spiked"]
    assert "xf16>" in said["half"] and "read in float by whole" in said["tied"]


def test_what_would_be_slower_on_the_target_stays_in_float(monkeypatch: pytest.MonkeyPatch) -> None:
    b, before = language_model()

    def predicted(target: object, graph: Graph) -> float:
        return 1.0 + 0.1 * ("words" in coded(graph))

    monkeypatch.setattr(tables, "predicted_ms", predicted)
    context = b.context(target=Cpu())
    assert coded(apply(before, "quantize-int8", context)) == {"places"}
    assert "1.0000 ms would be 1.1000 ms" in noted(context)["words"]
    context = b.context(target=Cpu())
    assert coded(apply(before, "quantize-int8{slower=true}", context)) == {"words", "places"}


def built(graph: Graph, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of the compiled graph."""
    program, target = Program(graph), Cpu()
    for name in ("place", "layout"):
        program = plugins.make("pass", name).run(program, Context(target=target))
    target.verify(program)
    return run(program, target, data)


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_compiled_lookups_are_the_integer_meaning(data: st.DataObject) -> None:
    """Odd columns, positions from the end, scalar positions, sums of lookups of unlike ranks.

    Decoded rows are equal; a sum of them in float32 may be a fused multiplication and addition.
    """
    b = Net(data.draw(st.integers(0, 99)))
    columns = data.draw(st.sampled_from([1, 3, 17, 33, 64]))
    rows = tables.WORTH // columns + data.draw(st.integers(1, 9))
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 5]), max_size=3)))
    fixed = b.constant(b.random.integers(-rows, rows, shape))
    first = b.op(Gather(0), b.table(rows, columns), b.positions(-rows, rows, *shape), name="a")
    second = b.op(Gather(0), b.table(rows, columns), fixed, name="b")
    inner = b.op(
        Embedding(), b.positions(0, rows, *shape[1:]), b.table(rows, columns), name="third"
    )
    total = b.op(Add(), b.op(Add(), first, second), inner, name="total")
    before = b.graph(total, b.op(Relu(), second), first, output_names=["sum", "relu", "a"])
    after = apply(before, "quantize-int8")
    assert coded(after) == {"a", "b", "third"}
    forms = [after.types[c].integer for c in after.constants]
    step = max(float(f.scale.array.max()) for f in forms if f is not None)
    got, want = built(after, b.data), evaluate_integer(after, b.data)
    for name, exact in evaluate(before, b.data).items():
        rounding = 1e-6 * float(np.abs(want[name]).max()) if name == "sum" else 0
        np.testing.assert_allclose(got[name], want[name], rtol=0, atol=rounding)
        assert np.abs(exact - got[name]).max() <= 3 * 0.51 * step


@pytest.mark.parametrize("ranks", ["alike", "unlike"])
def test_codes_of_rows_are_added_and_clamped_to_codes_of_a_layer(ranks: str) -> None:
    b = Net()
    words = b.op(Gather(0), b.table(), b.positions(-ROWS, ROWS, 1, 11), name="words")
    fixed = b.random.integers(0, ROWS, (1, 11))
    where = b.constant(fixed if ranks == "alike" else fixed[0])
    places = b.op(Embedding(), where, b.table(), name="places")
    clamped = b.op(Relu(), b.op(Gather(0), b.table(), b.inputs[0], name="more"), name="clamped")
    y = b.linear(b.op(Add(), words, places, name="sum"), 33, "fc")
    before = b.graph(y, b.linear(clamped, 5, "other"), output_names=["y", "z"])
    after = apply(before, "quantize-int8", b.context())
    assert coded(after) == {"words", "places", "more"}
    assert all(after.types[v].integer is not None for v in ("sum", "clamped"))
    got, want = built(after, b.data), evaluate_integer(after, b.data)
    for name, exact in evaluate(before, b.data).items():
        np.testing.assert_array_equal(got[name], want[name])
        assert snr_db(exact, got[name]) > 25


def test_an_artifact_keeps_tables_in_bytes(tmp_path: Path) -> None:
    b = Net()
    rows = b.op(Gather(0), b.table(500, 64), b.positions(-500, 500, 1, 6), name="rows")
    before = b.graph(b.op(Relu(), rows), output_names=["out"])
    compiled = codesign.compile(
        Program(before),
        "cpu",
        passes=["quantize-int8"],
        calibration=b.data,
        measure="none",
    )
    compiled.save(tmp_path / "out")
    size = (tmp_path / "out" / "weights.safetensors").stat().st_size
    assert 500 * 64 < size < 500 * 64 + 4096
    got = codesign.open(str(tmp_path / "out")).run(b.data)["out"]
    assert snr_db(evaluate(before, b.data)["out"], got) > 30


def test_columns_of_zeros_and_of_one_outlier_have_finite_scales() -> None:
    content = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    content[:, 1] = 0
    content[9, 2] = 1e4
    form = table(content)
    back = form.decode(form.encode(content), content.shape)
    assert form.axis == 1 and (form.scale.array > 0).all() and not back[:, 1].any()
    assert (np.abs(back - content).max(axis=0) <= form.scale.array * 0.51).all()
