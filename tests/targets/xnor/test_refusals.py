"""What no engine takes is refused by name, with what would help; broken files too."""

from pathlib import Path

import numpy as np
import pytest

from codesign import plugins
from codesign.errors import MachineError, UnknownNameError, UnsupportedModelError, UsageError
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.softmax import Softmax
from codesign.ir.program import Program
from codesign.mapping.check import check
from codesign.targets.xnor.device import DEVICES, parse_device
from tests.targets.xnor.nets import Net, exact, form, place


def refused(graph: Graph, words: str, spec: str = "finn") -> None:
    target = plugins.make("target", spec)
    with pytest.raises(UnsupportedModelError, match=words):
        target.place(Program(graph))
    verdicts = check(Program(graph), target)
    assert not all(v.supported for v in verdicts)
    refusals = [r for v in verdicts if not v.supported for r in v.refusals.values()]
    assert all(r.demand and r.bound for r in refusals)


def test_a_layer_in_float_wants_codes() -> None:
    net = Net()
    w = net.b.constant(np.ones((4, 3, 3, 3), np.float32), "w")
    graph = net.graph(net.b.op(Conv(), net.b.input("x", (1, 3, 8, 8)), w, name="L1"))
    refused(graph, "%L1 does not add up products of codes.*binarize, quantize-int8")


def test_what_is_no_threshold_between_layers_is_refused_by_name() -> None:
    net = Net()
    x = net.b.op(Softmax(1), net.conv(net.input(1, 3, 8, 8), 4, (3, 3), form("b")), name="soft")
    graph = net.graph(net.conv(net.encode(x, form("b")), 2, (1, 1), form("b")))
    refused(graph, "softmax %soft stands between layers, but the host.*thresholds, sums and pools")


def test_a_sum_in_floats_wants_codes() -> None:
    net = Net()
    x = net.conv(net.input(1, 3, 8, 8), 4, (1, 1), form("b"))
    y = net.conv(net.encode(x, form("b")), 4, (1, 1), form("b"))
    total = net.encode(net.b.op(Add(), x, y, name="sum"), form("b"))
    refused(net.graph(net.conv(total, 2, (1, 1), form("b"))), "add %sum has %L1.*in float")


def test_groups_wide_codes_and_empty_maps_are_refused() -> None:
    net = Net()
    w = net.weight((4, 1, 3, 3), form("b"))
    x = net.b.op(Conv(groups=4), net.input(1, 4, 8, 8), w, name="L1")
    refused(net.graph(x), "conv %L1 has 4 groups.*dense convolutions")
    wide = Net()
    x = wide.conv(wide.input(1, 3, 8, 8, grid=Int(12)), 4, (3, 3), form("b"))
    refused(wide.graph(x), "inputs of 12 bits.*at most 8.*4 bits too many")
    empty = Net()
    x = empty.conv(empty.input(0, 3, 8, 8), 4, (3, 3), form("b"))
    refused(empty.graph(x), "has a map of no elements.*at least one sample")


def test_what_is_behind_the_last_layer_goes_to_the_host() -> None:
    net = Net()
    x = net.conv(net.input(1, 3, 6, 6), 4, (3, 3), form("b"))
    placed = place(net.graph(net.b.op(Softmax(1), net.norm(x), name="soft")), None)
    assert [(a.kernel, a.nodes[0]) for a in placed.placement] == [
        ("host", "x.codes"), ("mvtu", "L1"), ("host", "L1.norm"), ("host", "soft"),
    ]  # fmt: skip
    exact(placed)


def test_long_sums_do_not_fit_xne_but_the_core_is_told() -> None:
    net = Net()
    x = net.linear(net.input(1, 40000, grid=form("b")), 2, form("b"))
    target = plugins.make("target", "xne")
    verdict = check(Program(net.graph(x)), target)[-1]
    assert verdict.kernel == "core" and verdict.refusals["xne"].gap == "7233 too many"


GOOD = (DEVICES / "zc706.toml").read_text(encoding="utf-8")
BROKEN = {
    "no TOML": ("[device", "is no TOML"),
    "no device": ("[shell]\nluts = 1\n", r"\[device\] is missing"),
    "unknown table": (f"{GOOD}\n[gold]\n", "unknown table 'gold'"),
    "unknown key": (GOOD.replace("luts =", "lut ="), "did you mean"),
    "missing": (GOOD.replace("dsp = 900\n", ""), "device.dsp is missing"),
    "unit": (GOOD.replace('"200 MHz"', "200"), "device.clock is 200, expected a frequency"),
    "negative": (GOOD.replace("dsp = 900", "dsp = -1"), "device.dsp is -1, expected a whole"),
    "share": (GOOD.replace("share = 0.7", "share = 7"), "device.share is 7, expected a share"),
    "lutram": (GOOD.replace("70400", "999999"), "device.lutram is 999999, more than device.luts"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_devices_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    text, words = BROKEN[name]
    path = tmp_path / "device.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MachineError, match=words) as caught:
        plugins.make("target", f"finn{{device={path}}}")
    assert str(path) in str(caught.value)


def test_unknown_devices_and_bad_options_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="zc706"):
        plugins.make("target", "finn{device=zc70}")
    with pytest.raises(UsageError, match="rate is -1"):
        plugins.make("target", "finn{rate=-1}")
    with pytest.raises(UsageError, match="lanes is -1"):
        plugins.make("target", "xne{lanes=-1}")
    assert parse_device(GOOD).room("luts") == int(218600 * 0.7 - 5000)
