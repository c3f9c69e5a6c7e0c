"""The table that assign-bits chooses from."""

import numpy as np
import pytest

from codesign import plugins
from codesign.ir.builder import Builder
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Program
from codesign.passes.quantize.assign_bits import AssignBits
from codesign.rewrite.recorder import costs
from tests.passes.harness import calibrated
from tests.passes.test_quantize_int8 import Net, residual
from tests.passes.widths import context, data_of, quality


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
        if key[1] >= 16:
            assert guessed.weights[key] < 1.5 * error
    for key, error in exact.values.items():
        assert guessed.values[key] == pytest.approx(error, rel=0.5)


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
