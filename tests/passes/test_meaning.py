"""Random networks through every pass keep their meaning, or lose as little as they may."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign import plugins
from codesign.errors import RefusedError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.graph import Graph
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.ir.text import named_constants, print_program
from codesign.rewrite.context import Context
from codesign.rewrite.rebatch import rebatch
from codesign.targets.tvm.target import Cpu
from tests.passes.bricks import Bricks
from tests.passes.harness import apply, calibrated, kinds, same, snr_db
from tests.strategies import inputs_of, networks

EXACT = [
    "canonicalize",
    "common-subexpressions",
    "dead-code",
    "fold-batch-norm",
    "fold-constants",
    "factorize-svd{by=error,error=1e-6,slower=true}",
    "factorize-tt{by=error,error=1e-6,slower=true}",
]
SCHEDULING = ["layout", "place"]
LOSSY = ["assign-bits", "binarize", "prune-magnitude", "quantize-int8", "recover"]


def test_every_pass_is_tested_here() -> None:
    tested = {spec.partition("{")[0] for spec in [*EXACT, *SCHEDULING, *LOSSY]}
    assert tested == set(plugins.table("pass"))


@pytest.mark.parametrize("spec", EXACT)
@settings(deadline=None, max_examples=20)
@given(graph=networks())
def test_alone(spec: str, graph: Graph) -> None:
    after = apply(graph, spec)
    same(graph, after)
    if "{" not in spec:
        assert apply(after, spec) == after


@settings(deadline=None, max_examples=30)
@given(graph=networks(), steps=st.lists(st.sampled_from(EXACT), max_size=5))
def test_in_any_order(graph: Graph, steps: list[str]) -> None:
    after = graph
    for spec in steps:
        after = apply(after, spec)
    same(graph, after, 2e-5)
    program = Program(after)
    assert parse_program(print_program(program), named_constants(after)) == program


@settings(deadline=None, max_examples=20)
@given(graph=networks(), pattern=st.sampled_from(["unstructured", "2:4", "4x1"]))
def test_pruned_weights_are_the_others_unchanged(graph: Graph, pattern: str) -> None:
    after = apply(graph, f"prune-magnitude{{pattern={pattern},min_elements=16}}")
    assert kinds(after) == kinds(graph)
    for old, new in zip(graph.nodes, after.nodes, strict=True):
        if new.kind in ("conv", "linear"):
            was, now = (
                graph.constants[old.operands[1]].array,
                after.constants[new.operands[1]].array,
            )
            assert ((now == was) | (now == 0)).all()


@settings(deadline=None, max_examples=25)
@given(graph=networks(), method=st.sampled_from(["minmax", "mse", "percentile", "entropy"]))
def test_quantized_networks_stay_near(graph: Graph, method: str) -> None:
    context = calibrated(graph)
    after = apply(graph, f"quantize-int8{{method={method}}}", context)
    assert context.calibration is not None
    data = next(context.calibration.batches(graph))
    want, got = evaluate(graph, data), evaluate(after, data)
    for name, array in want.items():
        assert snr_db(array, got[name]) > 12 or np.abs(array - got[name]).max() < 0.05, name


@settings(deadline=None, max_examples=8)
@given(graph=networks(), cost=st.sampled_from(["latency", "bytes"]))
def test_assigned_networks_are_as_near_as_eight_bits(graph: Graph, cost: str) -> None:
    context = calibrated(graph, 4, target=Bricks())
    spec = f"assign-bits{{cost={cost},probes=2,rounds=3,samples=4,slower=true"
    after = apply(graph, spec + "}", context)
    assert context.calibration is not None
    data = next(context.calibration.batches(graph))
    want, got = evaluate(graph, data), evaluate(after, data)
    for name, array in want.items():
        assert snr_db(array, got[name]) > 10 or np.abs(array - got[name]).max() < 0.05, name
    program = Program(after)
    assert parse_program(print_program(program), named_constants(after)) == program


@settings(deadline=None, max_examples=20)
@given(
    graph=networks(),
    options=st.sampled_from(["", ",activations=2", ",weights=ternary", ",method=binary-connect"]),
)
def test_binarized_networks_run_on_codes_as_they_stand(graph: Graph, options: str) -> None:
    context = calibrated(graph)
    after = apply(graph, f"binarize{{ends=true{options}}}", context)
    for step in ("canonicalize", "fold-batch-norm", "quantize-int8{slower=true}"):
        after = apply(after, step, context)
    target = Cpu("avx2")
    placed = target.place(Program(after))
    target.verify(placed)
    data = inputs_of(graph)
    want, got = evaluate_integer(after, data), evaluate_integer(placed.graph, data)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


@settings(deadline=None, max_examples=4)
@given(graph=networks())
def test_trained_networks_keep_their_form(graph: Graph) -> None:
    context = calibrated(graph)
    context.training, context.original = context.calibration, graph
    before = apply(graph, "binarize{ends=true}", context)
    if rebatch(graph, 4) is None:
        with pytest.raises(RefusedError, match="batches of one size"):
            apply(before, "recover{epochs=1,batch=4}", context)
        return
    after = apply(before, "recover{epochs=1,batch=4}", context)
    assert kinds(after) == kinds(before)
    assert all(np.isfinite(const.array).all() for const in after.constants.values())


@settings(deadline=None, max_examples=15)
@given(graph=networks(), quantized=st.booleans())
def test_placed_networks_run_what_they_did(graph: Graph, quantized: bool) -> None:
    if quantized:
        graph = apply(graph, "quantize-int8", calibrated(graph))
    target = Cpu("avx2")
    context, program = Context(target=target), Program(graph)
    for name in ("place", "layout"):
        program = plugins.make("pass", name).run(program, context)
    target.verify(program)
    covered = [node for assignment in program.placement for node in assignment.nodes]
    assert sorted(covered) == sorted(node.name for node in program.graph.nodes)
    data = inputs_of(graph)
    want, got = evaluate(graph, data), evaluate(program.graph, data)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)
