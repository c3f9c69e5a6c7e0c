"""Random networks through import, every pass and the CPU target, against onnxruntime.

By default the same networks are drawn each time; CODESIGN_EXAMPLES=N draws N times as many others.
"""

import os

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesign import plugins
from codesign.compiler import SIMPLIFY
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.ir.text import named_constants, print_program
from codesign.rewrite.context import Context
from codesign.rewrite.pipeline import run_pass
from codesign.targets.tvm.target import Cpu
from tests.differential import running as run
from tests.differential.strategies import QUANTIZABLE, Drawn, networks
from tests.targets.tvm.int8_oracle import runnable

TIMES = int(os.environ.get("CODESIGN_EXAMPLES", "1"))
HOST = Cpu()
TARGETS = [Cpu(isa, threads) for isa in runnable() for threads in (1, 2)] + [Cpu("generic")]
PRUNED = ["sparsity=0.9", "pattern=1:4", "sparsity=0.8,pattern=16x1", "sparsity=0.7,scope=global"]


def examples(count: int) -> settings:
    """So many networks, always the same; more and others if CODESIGN_EXAMPLES is set."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count * TIMES,
        deadline=None,
        suppress_health_check=slow,
        derandomize="CODESIGN_EXAMPLES" not in os.environ,
    )


@examples(40)
@given(networks())
def test_imported(drawn: Drawn) -> None:
    feeds = drawn.feeds()
    want, tolerance = run.reference(drawn, feeds)
    run.close(evaluate(run.imported(drawn), feeds), want, tolerance)


@examples(30)
@given(networks())
def test_simplified(drawn: Drawn) -> None:
    """Each simplifying pass alone and all in order change nothing that shows."""
    feeds = drawn.feeds()
    want, tolerance = run.reference(drawn, feeds)
    whole = start = Program(run.imported(drawn))
    for name in SIMPLIFY:
        step = plugins.make("pass", name)
        run.close(evaluate(run_pass(start, step, Context()).graph, feeds), want, tolerance)
        whole = run_pass(whole, step, Context())
    run.close(evaluate(whole.graph, feeds), want, tolerance)


@examples(12)
@given(networks(), st.sampled_from(TARGETS))
def test_compiled(drawn: Drawn, target: Cpu) -> None:
    feeds = drawn.feeds()
    want, tolerance = run.reference(drawn, feeds)
    program = run.placed(run.imported(drawn), target, [])
    run.close(evaluate(program.graph, feeds), want, tolerance)
    run.close(run.compiled(program, target, feeds), want, tolerance)


@examples(4)
@given(networks(QUANTIZABLE, 4, 8), st.sampled_from(PRUNED), st.sampled_from(TARGETS))
def test_pruned(drawn: Drawn, options: str, target: Cpu) -> None:
    feeds = drawn.feeds()
    spec = f"prune-magnitude{{{options},min_elements=16}}"
    program = run.placed(run.imported(drawn), target, [spec])
    want = evaluate(program.graph, feeds)
    run.close(run.compiled(program, target, feeds), want, run.relative(want))


@examples(4)
@given(networks(QUANTIZABLE, 4, 8), st.sampled_from(["svd", "tt"]), st.sampled_from(TARGETS))
def test_factorized(drawn: Drawn, kind: str, target: Cpu) -> None:
    """At an error of a few roundings the factors still compute the network itself."""
    feeds = drawn.feeds()
    graph = run.imported(drawn)
    spec = f"factorize-{kind}{{by=error,error=0.000001,slower=true}}"
    exact = run.placed(graph, target, [spec])
    want, tolerance = run.reference(drawn, feeds)
    run.close(evaluate(exact.graph, feeds), want, tolerance)
    rough = run.placed(graph, target, [f"factorize-{kind}{{keep=0.8,slower=true}}"])
    meant = evaluate(rough.graph, feeds)
    run.close(run.compiled(rough, target, feeds), meant, run.relative(meant))


@examples(8)
@given(networks(QUANTIZABLE, 4, 9), st.sampled_from(TARGETS), st.sampled_from(["minmax", "mse"]))
def test_quantized(drawn: Drawn, target: Cpu, method: str) -> None:
    """Codes are bit for bit those of the integer interpreter.

    Where a float that was computed becomes a code, a rounding may fall to the other side: then
    results may be off by a few codes.
    """
    feeds = drawn.feeds()
    spec = f"quantize-int8{{method={method}}}"
    program = run.placed(run.imported(drawn), target, [spec], drawn.feeds(1, 4))
    want = evaluate_integer(program.graph, feeds)
    found = run.compiled(program, target, feeds)
    if run.rounds_floats(program.graph):
        run.close(found, want, run.relative(want, 0.05))
        return
    for name in run.exact_outputs(program.graph):
        np.testing.assert_array_equal(found[name], want[name], err_msg=name)
    run.close(found, want, run.relative(want))


@examples(6)
@given(
    networks(QUANTIZABLE, 4, 9), st.sampled_from(["", "pattern=2:4", "pattern=4x1"]), st.booleans()
)
def test_everything(drawn: Drawn, pruning: str, late: bool) -> None:
    """Pruned (`late`: after that), factorized and quantized, and the text of it read back."""
    feeds = drawn.feeds()
    steps = [
        f"prune-magnitude{{min_elements=64,{pruning}}}" if pruning else "prune-magnitude",
        "factorize-svd{keep=0.9}",
        "quantize-int8",
    ]
    steps = [*steps[1:], steps[0]] if late else steps
    program = run.placed(run.imported(drawn), HOST, steps, drawn.feeds(1, 4))
    want = evaluate_integer(program.graph, feeds)
    share = 0.05 if run.rounds_floats(program.graph) else run.TOLERANCE
    run.close(run.compiled(program, HOST, feeds), want, run.relative(want, share))
    text = print_program(program)
    assert print_program(parse_program(text, named_constants(program.graph))) == text
