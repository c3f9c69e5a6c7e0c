"""What assign-bits makes of a network: its codes, scales and shared widths."""

import re

import numpy as np
import pytest

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
from tests.passes.bricks import Bricks
from tests.passes.harness import apply, snr_db
from tests.passes.test_quantize_int8 import Net, residual
from tests.passes.widths import (
    context,
    data_of,
    quality,
    widths,
)
from tests.strategies import inputs_of


def test_the_text_of_a_mixed_network_comes_back() -> None:
    before = residual()
    after = apply(before, "assign-bits{snr=30}", context(before))
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


def test_rounding_anew_beside_the_others_never_loses() -> None:
    from codesign.passes.quantize import compensate as of
    from codesign.passes.quantize.scales import spread

    random = np.random.default_rng(0)
    for groups, rows, depth in ((1, 6, 12), (3, 6, 4)):
        x = random.normal(size=(groups, depth, 40)) @ np.diag(np.linspace(0.1, 3, 40))
        sums = np.asarray(x @ x.transpose(0, 2, 1), np.float32)
        array = random.normal(size=(rows, depth)).astype(np.float32)
        scale = spread(array, 3, True).astype(np.float32)

        def loss(found: np.ndarray, array: np.ndarray = array, sums: np.ndarray = sums) -> float:
            off = (array - found).reshape(len(sums), -1, sums.shape[1]).astype(np.float64)
            damped = of._damped(sums)
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
