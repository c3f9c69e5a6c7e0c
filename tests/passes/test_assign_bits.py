import re
from itertools import product

import numpy as np
import pytest

from codesign import plugins
from codesign.errors import RefusedError, UnknownNameError, UsageError
from codesign.interpret.evaluate import evaluate, trace
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.matmul import Linear
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.ir.text import named_constants, print_program
from codesign.passes.quantize.assign_bits import AssignBits
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pipeline
from codesign.rewrite.recorder import costs
from codesign.rewrite.score import answers
from codesign.rewrite.score import snr_db as measured_snr
from codesign.targets.tvm.target import Cpu
from tests.passes.bricks import Bricks
from tests.passes.harness import apply, calibrated, snr_db
from tests.passes.test_quantize_int8 import Net, residual
from tests.strategies import inputs_of

TARGET = Bricks()


def context(graph: Graph, target: Bricks = TARGET, samples: int = 8) -> Context:
    return calibrated(graph, samples, target=target)


def latency(graph: Graph, target: Bricks = TARGET) -> float:
    estimate = costs(Program(graph), target, timed=False).estimate
    assert estimate is not None
    return estimate.latency_ms


def widths(graph: Graph) -> dict[str, tuple[int, int]]:
    """(weight, activation) bits by layer; those in float are left out."""
    found = {}
    for node in graph.nodes:
        forms = [graph.types[v].integer for v in node.operands[:2]]
        if node.kind in ("conv", "linear") and forms[0] is not None and forms[1] is not None:
            found[node.name] = (forms[1].width, forms[0].width)
    return found


def quality(before: Graph, after: Graph, data: Dataset) -> float:
    """SNR of the outputs on calibration data, as the ledger has it."""
    return measured_snr(answers(before, data, 64), answers(after, data, 64))


def data_of(context: Context) -> Dataset:
    assert context.calibration is not None
    return context.calibration


@pytest.mark.parametrize("floor", [12.0, 25.0, 40.0])
def test_the_floor_is_kept_and_no_uniform_width_is_cheaper(floor: float) -> None:
    before = residual()
    here = context(before)
    after = apply(before, f"assign-bits{{snr={floor}}}", here)
    assert quality(before, after, data_of(here)) >= floor
    assert here.notes[-1].layer == "out" and "dB measured on 8 samples" in here.notes[-1].text
    plan = AssignBits().plan(Program(before), here)
    assert plan is not None
    for bits in (2, 4, 8, 16):
        even = plan.build(plan.uniform(bits) or {})
        if quality(before, even, data_of(here)) >= floor:
            assert latency(after) <= latency(even) * (1 + 1e-9)


def only(*bits: int) -> Bricks:
    """A target of these widths, the same for weights and activations."""
    return Bricks(offered=tuple((b, b) for b in bits))


def test_by_default_the_ratio_of_eight_bits_is_kept_for_less() -> None:
    before = uneven()
    here = context(before)
    after = apply(before, "assign-bits", here)
    even = apply(before, "assign-bits", context(before, only(8)))
    assert set(widths(even).values()) == {(8, 8)}
    data = data_of(here)
    assert quality(before, after, data) >= quality(before, even, data) - 1e-6
    assert latency(after) < 0.9 * latency(even)


def uneven() -> Graph:
    """A large layer that hardly matters to the outputs beside a small one that does."""
    b = Net()
    large = b.op(Relu(), b.conv(b.x, 24, "large", 1e-3))
    large = b.conv(large, 4, "large2", 1.0)
    y = b.op(Add(), large, b.conv(b.x, 4, "small"), name="sum")
    return b.graph(y, output_names=["out"])


@pytest.mark.parametrize("cost", ["latency", "energy", "bytes"])
def test_a_budget_is_respected_and_more_of_it_never_hurts(cost: str) -> None:
    before = residual()
    here = context(before)
    data, last = data_of(here), 0.0
    plain = apply(before, "assign-bits{base=8,rounds=1}", context(before, only(8)))
    for share in (0.4, 0.7, 1.3):
        after = apply(before, f"assign-bits{{cost={cost},share={share}}}", here)
        assert amount(after, cost) <= share * amount(plain, cost) * (1 + 1e-9)
        ratio = quality(before, after, data)
        assert ratio >= last
        last = ratio


def amount(graph: Graph, cost: str) -> float:
    from codesign.analysis.counts import stored_bytes

    estimate = TARGET.estimate(TARGET.place(Program(graph)))
    known = {"latency": estimate.latency_ms, "energy": estimate.energy_uj or 0.0}
    return float(stored_bytes(graph)) if cost == "bytes" else known[cost]


def test_absolute_budgets_and_limits_beside_a_floor() -> None:
    before = residual()
    here = context(before)
    after = apply(before, "assign-bits{budget=0.3}", here)
    assert latency(after) <= 0.3
    both = apply(before, "assign-bits{snr=20,budget=0.5}", here)
    assert latency(both) <= 0.5 and quality(before, both, data_of(here)) >= 20
    with pytest.raises(RefusedError, match=r"at most 0\.05 ms"):
        apply(before, "assign-bits{snr=40,budget=0.05}", here)


def test_all_choices_of_a_small_network_leave_none_that_is_better() -> None:
    b = Net()
    y = b.conv(b.op(Relu(), b.conv(b.x, 6, "c1")), 3, "c2", 0.1)
    before = b.graph(y, output_names=["out"])
    target = Bricks(offered=tuple(product((2, 4, 8), (2, 4, 8))))
    here = context(before, target)
    plan = AssignBits().plan(Program(before), here)
    assert plan is not None
    data = data_of(here)
    met = []
    for first, second in product(target.offered, target.offered):
        graph = plan.build({"c1": first, "c2": second})
        if quality(before, graph, data) >= 25:
            met.append(latency(graph, target))
    after = apply(before, "assign-bits{snr=25,rounds=20}", here)
    assert latency(after, target) <= 1.05 * min(met)


def test_what_cannot_be_met_is_refused_with_demand_bound_gap_and_remedy() -> None:
    before = residual()
    here = context(before, only(4, 8))
    with pytest.raises(RefusedError) as refused:
        apply(before, "assign-bits{snr=150}", here)
    found = re.search(
        r"at least 150.00 dB, but the best .* bricks reach is ([\d.]+) dB, ([\d.]+) dB short; ask "
        r"for at most .*skip \(%\w+, .*wider codes",
        str(refused.value),
    )
    assert found is not None
    assert float(found[1]) + float(found[2]) == pytest.approx(150, abs=0.02)
    with pytest.raises(RefusedError, match=r"at most 1e-05 ms, but the least .* over; ask for"):
        apply(before, "assign-bits{budget=1e-5}", here)


def test_refusals_of_targets_and_bases() -> None:
    before = residual()
    with pytest.raises(RefusedError, match="bricks offers none for conv or linear"):
        apply(before, "assign-bits", context(before, Bricks(offered=())))
    with pytest.raises(RefusedError, match=r"base is 5.*offers 4, 8 for weights"):
        apply(before, "assign-bits{base=5}", context(before, only(4, 8)))
    with pytest.raises(RefusedError, match="no energy model"):
        apply(before, "assign-bits{cost=energy}", context(before, Bricks(energy=False)))
    with pytest.raises(UsageError, match="--target"):
        apply(before, "assign-bits", calibrated(before))
    with pytest.raises(UsageError, match="--calibration"):
        apply(before, "assign-bits", Context(target=TARGET))


@pytest.mark.parametrize(
    "options",
    ["budget=0", "share=-1", "budget=1,share=1", "probes=0", "rounds=0", "base=1", "cost=money"],
)
def test_options(options: str) -> None:
    with pytest.raises(UsageError, match="assign-bits"):
        apply(residual(), f"assign-bits{{{options}}}")


def test_the_text_of_a_mixed_network_comes_back() -> None:
    before = residual()
    after = apply(before, "assign-bits{snr=25}", context(before))
    assert len(set(widths(after).values())) > 1
    text = print_program(Program(after))
    again = parse_program(text, named_constants(after))
    assert print_program(again) == text
    data = inputs_of(before, 5)
    assert np.array_equal(evaluate(again.graph, data)["out"], evaluate(after, data)["out"])


@pytest.mark.parametrize("floor", [20.0, 45.0, 60.0])
def test_fake_quantization_and_integers_agree(floor: float) -> None:
    before = residual()
    after = apply(before, f"assign-bits{{snr={floor}}}", context(before))
    data = inputs_of(before, 11)
    exact, fake = evaluate(before, data)["out"], evaluate(after, data)["out"]
    integer = evaluate_integer(after, data)["out"]
    assert snr_db(exact, integer) > floor - 6
    assert snr_db(fake, integer) > snr_db(exact, fake) - 1


@pytest.mark.parametrize("measure", ["output", "hessian"])
def test_a_seed_decides_everything(measure: str) -> None:
    before = uneven()
    spec = f"assign-bits{{measure={measure},snr=30}}"
    texts = set()
    for _ in range(2):
        here = context(before)
        here.seed = 3
        texts.add(str(apply(before, spec, here)) + str(here.notes))
    assert len(texts) == 1


def test_errors_by_output_are_those_of_the_interpreter() -> None:
    before = residual()
    here = context(before, samples=3)
    step = AssignBits(probes=3)
    plan = step.plan(Program(before), here)
    assert plan is not None
    errors = step.errors(plan, here)
    root = plan.root(before.by_name["c2"])
    for bits in (2, 8):
        coded = {v: before.types[v].with_encoding(e) for v, e in plan.coded(root, bits).items()}
        alone = before.with_types(coded)
        ratio = quality(before, alone, data_of(here))
        assert -10 * np.log10(errors.values[root, bits]) == pytest.approx(ratio, abs=0.05)


def test_the_hessian_tells_what_rounding_does_to_a_linear_network() -> None:
    random = np.random.default_rng(1)
    b = Builder()
    x = b.input("x", (1, 64))
    w1, w2 = (
        b.constant(random.standard_normal(s).astype(np.float32), n)
        for n, s in (("w1", (96, 64)), ("w2", (10, 96)))
    )
    before = b.graph(b.op(Linear(), b.op(Linear(), x, w1, name="a"), w2, name="c"))
    here = context(before, samples=16)
    step = AssignBits(probes=16, vectors=64)
    plan = step.plan(Program(before), here)
    assert plan is not None
    exact = step.errors(plan, here)
    guessed = AssignBits(measure="hessian", probes=16, vectors=64).errors(plan, here)
    for key, error in exact.weights.items():
        assert guessed.weights[key] > 0.5 * error  # what narrow weights make up for is not seen
        if key[1] >= 8:
            assert guessed.weights[key] < 1.5 * error
    for key, error in exact.values.items():
        assert guessed.values[key] == pytest.approx(error, rel=0.5)


def test_skipped_layers_stay_in_float() -> None:
    before = residual()
    after = apply(before, "assign-bits{snr=25,skip=[c1,f*]}", context(before))
    assert set(widths(after)) == {"c2"}
    assert apply(before, "assign-bits{skip=*}", context(before)) is before
    with pytest.raises(UnknownNameError, match="option skip"):
        apply(before, "assign-bits{skip=nothing}", context(before))


def test_a_network_that_is_no_cheaper_stays_in_float() -> None:
    before = residual()
    wide = Bricks(offered=((16, 16),), macs_per_ms=1e5)
    here = context(before, wide)
    assert apply(before, "assign-bits{snr=20}", here) != before
    cpu = calibrated(before, target=Cpu("avx512-vnni"))
    assert apply(before, "assign-bits", cpu) is before
    assert {n.layer for n in cpu.notes} == {"c1", "c2", "fc"}
    assert all("would be" in n.text and not n.done for n in cpu.notes)
    forced = apply(before, "assign-bits{slower=true}", cpu)
    assert set(widths(forced).values()) == {(8, 8)}


def test_layers_of_one_element_depthwise_and_grouped_layers() -> None:
    b = Net()
    w = b.constant(b.random.standard_normal((4, 1, 3, 3)).astype(np.float32), "dw")
    y = b.op(Conv(pads=((1, 1),) * 2, groups=4), b.x, w, name="depthwise")
    w = b.constant(b.random.standard_normal((8, 2, 3, 3)).astype(np.float32), "gw")
    y = b.op(Conv(pads=((1, 1),) * 2, groups=2), b.op(Relu(), y), w, name="grouped")
    before = b.graph(b.conv(y, 4, "last"), output_names=["out"])
    here = context(before)
    after = apply(before, "assign-bits{snr=30}", here)
    assert set(widths(after)) == {"depthwise", "grouped", "last"}
    assert quality(before, after, data_of(here)) >= 30
    again = apply(after, "canonicalize", here)
    assert widths(again) == widths(after)

    c = Builder()
    one = c.constant(np.full((1, 1), 0.7, np.float32), "w")
    tiny = c.graph(c.op(Linear(), c.input("x", (1, 1)), one, name="y"), output_names=["out"])
    here = context(tiny)
    after = apply(tiny, "assign-bits{snr=20,slower=true}", here)
    assert set(widths(after)) == {"y"}
    assert quality(tiny, after, data_of(here)) >= 20


def shared() -> Graph:
    """Two layers of one weight behind each other, and two that read one value."""
    b = Builder()
    random = np.random.default_rng(0)
    x = b.input("x", (1, 32))
    w = b.constant(random.standard_normal((32, 32)).astype(np.float32) * 0.2, "w")
    v = b.constant(random.standard_normal((32, 32)).astype(np.float32) * 0.2, "v")
    first = b.op(Relu(), b.op(Linear(), x, w, name="a"))
    second = b.op(Relu(), b.op(Linear(), first, w, name="b"))
    other = b.op(Linear(), first, v, name="c")
    return b.graph(b.op(Add(), second, other), output_names=["out"])


@pytest.mark.parametrize("cost", ["latency", "bytes"])
def test_shared_weights_and_values_have_one_width(cost: str) -> None:
    before = shared()
    here = context(before)
    for floor in (15, 25, 35):
        after = apply(before, f"assign-bits{{snr={floor},cost={cost}}}", here)
        found = widths(after)
        assert found["a"][0] == found["b"][0] and found["b"][1] == found["c"][1]
        coded = [n for n in after.constants if re.fullmatch(r"w\.int\d+(_\d+)?", n)]
        assert len(coded) == 1
        assert quality(before, after, data_of(here)) >= floor


def test_sums_that_were_seen_leave_room_in_their_accumulators() -> None:
    before = residual()
    here = context(before, Bricks(offered=((16, 16),)))
    after = apply(before, "assign-bits{base=16,slower=true}", here)
    for node in after.nodes:
        if node.kind in ("conv", "linear"):
            x, w = (after.types[v].integer for v in node.operands[:2])
            assert x is not None and w is not None
            step = float(x.scale.array) * w.scale.array.astype(np.float64)
            for batch in data_of(here).batches(before):
                made = np.abs(trace(before, batch, [node.name])[node.name]).max(axis=0)
                assert (made.reshape(len(step), -1).max(axis=1) / step < 2.0**30 * 1.01).all()


def test_the_ledger_shows_it_and_the_network_is_placed_again() -> None:
    before = uneven()
    here = context(before)
    steps = [plugins.make("pass", n) for n in ("place", "assign-bits{snr=20}", "place", "layout")]
    after, ledger = run_pipeline(Program(before), steps, here)
    rows = ledger.rows
    assert after.placement and {a.kernel for a in after.placement} == {"brick", "rest"}
    assert rows[2].estimated_ms < rows[1].estimated_ms  # type: ignore[operator]
    assert rows[2].stored_bytes < rows[1].stored_bytes
    assert rows[2].bit_operations < rows[1].bit_operations
    assert rows[2].snr_db >= 20 and rows[3].estimated_ms == rows[2].estimated_ms  # type: ignore[operator]


def test_a_required_speedup_undoes_it() -> None:
    before = uneven()
    steps = [plugins.make("pass", n) for n in ("assign-bits{snr=40}", "place", "layout")]
    tidying = ("place", "layout")
    for least, done in ((2.0, True), (1e6, False)):
        after, ledger = run_pipeline(
            Program(before), steps, context(before), "none", tidying, require_speedup=least
        )
        assert bool(widths(after.graph)) == done
        assert ("refused" in ledger.rows[1].remark) == (not done)


def test_the_table_has_a_row_for_each_layer_and_pair() -> None:
    before = residual()
    table = AssignBits(probes=2).sensitivities(Program(before), context(before))
    assert [r.layer for r in table.rows[:16]] == ["c1"] * 16 and len(table.rows) == 48
    found = {(r.layer, r.weight_bits, r.activation_bits): r for r in table.rows}
    for layer in ("c1", "c2", "fc"):
        assert found[layer, 2, 2].snr_db < found[layer, 4, 4].snr_db < found[layer, 8, 8].snr_db
        assert found[layer, 2, 8].bytes < found[layer, 8, 8].bytes
        small, large = found[layer, 4, 4], found[layer, 8, 8]
        assert 4 * small.latency_ms == pytest.approx(large.latency_ms)
        assert small.energy_uj is not None and large.energy_uj is not None


@pytest.mark.parametrize("spec", ["bitfusion", "eyeriss"])
def test_prices_of_layers_are_what_the_network_takes_with_one_width_for_all(spec: str) -> None:
    b = Net()
    y = b.op(Relu(), b.conv(b.x, 8, "c1"), name="r1")
    y = b.op(Relu(), b.conv(y, 4, "c2"), name="r2")
    before = b.graph(b.classifier(y), output_names=["out"])
    target = plugins.make("target", spec)
    plan = AssignBits().plan(Program(before), calibrated(before, 4, target=target))
    assert plan is not None
    uniforms = {bits: plan.uniform(bits) for bits in (2, 4, 8, 16)}
    assert any(uniforms.values())
    for bits, chosen in uniforms.items():
        if chosen is None:
            continue
        estimate = costs(Program(plan.build(chosen)), target, timed=False).estimate
        assert estimate is not None
        found = {layer.name: layer.latency_ms for layer in estimate.layers}
        for name, prices in plan.offers.items():
            asked = prices[bits, bits].latency_ms
            if name == "c1":  # a layer reads what it gives, in as many bits
                assert found[name] == pytest.approx(asked)
            assert asked <= found[name] * (1 + 1e-9)  # others may give wider results


def test_rounding_anew_beside_the_others_never_loses() -> None:
    from codesign.passes.quantize import moments as of
    from codesign.passes.quantize.scales import spread

    random = np.random.default_rng(0)
    for groups, rows, depth in ((1, 6, 12), (3, 6, 4)):
        x = random.normal(size=(groups, depth, 40)) @ np.diag(np.linspace(0.1, 3, 40))
        sums = np.asarray(x @ x.transpose(0, 2, 1), np.float32)
        array = random.normal(size=(rows, depth)).astype(np.float32)
        scale = spread(array, 3, True).astype(np.float32)

        def loss(found: np.ndarray, array: np.ndarray = array, sums: np.ndarray = sums) -> float:
            off = (array - found).reshape(len(sums), -1, sums.shape[1]).astype(np.float64)
            damped = np.asarray(of._damped(sums))
            return float(np.einsum("gmk,gkl,gml->", off, damped, off))

        found = of.compensated(array, sums, scale, -4, 3)
        codes = found / scale[:, None]
        assert np.allclose(codes, np.rint(codes), atol=1e-4)
        assert -4.001 <= codes.min() <= codes.max() <= 3.001
        for k in range(depth):  # no element alone can be rounded better
            for step in (-1, 1):
                other = found.copy()
                other[:, k] += step * scale
                inside = np.abs(np.rint(other[:, k] / scale) + 0.5) <= 3.5
                other[:, k] = np.where(inside, other[:, k], found[:, k])
                for row in range(rows):
                    mixed = found.copy()
                    mixed[row] = other[row]
                    assert loss(mixed) >= loss(found) * (1 - 1e-6)
