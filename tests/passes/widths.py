"""Networks, contexts and questions that the tests of assign-bits share."""

from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.elementwise import Add
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.recorder import costs
from codesign.rewrite.score import answers
from codesign.rewrite.score import snr_db as measured_snr
from tests.passes.bricks import Bricks
from tests.passes.harness import calibrated
from tests.passes.test_quantize_int8 import Net

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
    """The samples on which choices are measured."""
    assert context.calibration is not None
    return context.calibration.halves(1)[1]


def only(*bits: int) -> Bricks:
    """A target of these widths, the same for weights and activations."""
    return Bricks(offered=tuple((b, b) for b in bits))


def uneven() -> Graph:
    """A large layer that hardly matters to the outputs beside a small one that does."""
    b = Net()
    large = b.op(Relu(), b.conv(b.x, 24, "large", 1e-3))
    large = b.conv(large, 4, "large2", 1.0)
    y = b.op(Add(), large, b.conv(b.x, 4, "small"), name="sum")
    return b.graph(y, output_names=["out"])


def amount(graph: Graph, cost: str) -> float:
    from codesign.analysis.counts import stored_bytes

    estimate = TARGET.estimate(TARGET.place(Program(graph)))
    known = {"latency": estimate.latency_ms, "energy": estimate.energy_uj or 0.0}
    return float(stored_bytes(graph)) if cost == "bytes" else known[cost]
