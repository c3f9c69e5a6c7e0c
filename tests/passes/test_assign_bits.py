import re
from itertools import product

import pytest

from codesign import plugins
from codesign.errors import RefusedError, UnknownNameError, UsageError
from codesign.ir.ops.activation import Relu
from codesign.ir.program import Program
from codesign.passes.quantize.assign_bits import AssignBits
from codesign.rewrite.context import Context
from codesign.rewrite.pipeline import run_pipeline
from codesign.targets.tvm.target import Cpu
from tests.passes.bricks import Bricks
from tests.passes.harness import apply, calibrated
from tests.passes.test_quantize_int8 import Net, residual
from tests.passes.widths import (
    TARGET,
    amount,
    context,
    data_of,
    latency,
    only,
    quality,
    uneven,
    widths,
)


@pytest.mark.parametrize("floor", [12.0, 25.0, 40.0])
def test_the_floor_is_kept_and_no_uniform_width_is_cheaper(floor: float) -> None:
    before = residual()
    here = context(before)
    after = apply(before, f"assign-bits{{snr={floor}}}", here)
    assert quality(before, after, data_of(here)) >= floor
    assert here.notes[-1].layer == "out" and "dB measured on 4 samples" in here.notes[-1].text
    assert "to the network that this pass was given (the ledger's SNR" in here.notes[-1].text
    plan = AssignBits().plan(Program(before), here)
    assert plan is not None
    for bits in (2, 4, 8, 16):
        even = plan.build(plan.uniform(bits) or {})
        if quality(before, even, data_of(here)) >= floor:
            assert latency(after) <= latency(even) * (1 + 1e-9)


def test_by_default_the_ratio_of_eight_bits_is_kept_for_less() -> None:
    before = uneven()
    here = context(before)
    after = apply(before, "assign-bits", here)
    even = apply(before, "assign-bits", context(before, only(8)))
    assert set(widths(even).values()) == {(8, 8)}
    data = data_of(here)
    assert quality(before, after, data) >= quality(before, even, data) - 1e-6
    assert latency(after) < 0.9 * latency(even)


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
