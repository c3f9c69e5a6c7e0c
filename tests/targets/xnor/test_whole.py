"""Compile, save, open, run and explain, on both targets; costs add up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import codesign as cd
from benchmarks import finn_models as models
from codesign import plugins
from codesign.interpret.integer import evaluate_integer
from codesign.ir.const import Const
from codesign.ir.ops.encode import Decode
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.runtime.modelled import modelled
from codesign.targets.xnor.area import area
from codesign.targets.xnor.costs import costs_of
from codesign.targets.xnor.engine import Mvtu
from codesign.targets.xnor.fold import option, options
from codesign.targets.xnor.shared.machine import work
from codesign.targets.xnor.whole import folds_of, layers_of
from tests.targets.xnor.nets import Net, exact, form, place, residual


@pytest.mark.parametrize("spec", ["finn{device=zu3eg,mhz=150}", "xne{lanes=4}"])
def test_an_artifact_runs_and_explains_itself(spec: str, tmp_path: Path) -> None:
    graph = residual()
    compiled = cd.compile(Program(graph), target=spec, passes="dead-code")
    opened = cd.open(compiled.save(tmp_path / "out"))
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 7)).astype(np.float32)
    (want,) = evaluate_integer(graph, {"x": x}).values()
    np.testing.assert_array_equal(opened(x), want)
    found = opened.explained("L2")
    assert found["cycles"] == max(found["busy_cycles"].values()) or spec.startswith("xne")
    if spec.startswith("finn"):
        (chosen,) = [one for one in found["foldings"] if one["chosen"]]
        assert chosen["cycles"] == found["cycles"] and len(found["foldings"]) > 3
        rate = modelled(opened)["frames_per_second"]
        assert rate == pytest.approx(1e3 / opened.report["build"]["interval_ms"])


class Unit(nn.Module):
    """A convolution, batch norm and relu, around which the input is added if it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.normal_(self.norm.weight)
        self.same = inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x))
        return torch.relu(y + x if self.same else y)


@pytest.mark.parametrize("spec", ["finn{device=zynq7020}", "xne"])
@pytest.mark.parametrize("options", ["", "{method=bnn,weights=ternary,activations=2}"])
def test_what_passes_make_of_a_residual_network_runs(spec: str, options: str) -> None:
    torch.manual_seed(0)
    body = (Unit(1, 6), Unit(6, 6), Unit(6, 8, 2), Unit(8, 8))
    net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval()
    x = torch.rand(4, 1, 10, 10)
    program = cd.load(net, example_inputs=(x[:1],))
    (name,) = program.graph.inputs
    compiled = cd.compile(
        program,
        target=spec,
        passes=f"binarize{options},quantize-int8",
        calibration={name: x.numpy()},
    )
    kernels = [layer["kernel"] for layer in compiled.report["layers"]]
    expected = ("mvtu", 5) if spec != "xne" else ("xne", 0 if options else 3)
    assert kernels.count(expected[0]) == expected[1]
    graph = parse_program(compiled.text, {n: Const(a) for n, a in compiled.weights.items()}).graph
    (want,) = evaluate_integer(graph, {name: x[:1].numpy()}).values()
    np.testing.assert_array_equal(compiled(x[:1].numpy()), want)


def test_latencies_add_up_to_that_of_the_first_image() -> None:
    target = plugins.make("target", "finn")
    placed = target.place(Program(models.cnv()))
    estimate, costs = target.estimate(placed), costs_of(placed, target)
    assert estimate.latency_ms == pytest.approx(costs.times.latency / target.board.clock * 1e3)
    slow = max(estimate.layers, key=lambda layer: layer.cycles)
    assert slow.cycles == costs.times.interval
    assert any(f"the slowest is %{slow.name}" in remark for remark in estimate.remarks)
    assert estimate.energy_uj is not None and estimate.energy_uj > 0


def test_a_batch_follows_at_the_interval() -> None:
    target, found = plugins.make("target", "finn"), []
    for batch in (1, 4):
        net = Net()
        x = net.encode(net.conv(net.input(batch, 3, 9, 9), 8, (3, 3), form("b")), form("b"))
        placed = target.place(Program(net.graph(net.conv(x, 4, (3, 3), form("b")))))
        found.append((target.estimate(placed).latency_ms, costs_of(placed, target).times))
    (one, times), (four, _) = found
    assert four == pytest.approx(one + 3 * times.interval / target.board.clock * 1e3)


def test_explained_foldings_are_those_of_the_model() -> None:
    target = plugins.make("target", "finn")
    placed = target.place(Program(models.lfc()))
    for layer in layers_of(placed, target):
        fold = folds_of(placed)[layer.name]
        here = option(layer, fold)
        assert here.cycles == layer.rows // fold.pe * (layer.columns // fold.simd)
        cycles = [o.cycles for o in options(layer)]
        assert min(cycles) <= here.cycles <= max(cycles) <= layer.rows * layer.columns


def test_area_grows_with_the_folding_and_with_bits() -> None:
    one = Mvtu("m", (), (), 64, 64, 1, 8, 1, sums=8)
    more = Mvtu("m", (), (), 64, 64, 2, 8, 1, sums=8)
    wide = Mvtu("m", (), (), 64, 64, 1, 8, 1, 1, 8, False, (1,), 16)
    dsp = Mvtu("m", (), (), 64, 64, 1, 8, 1, 8, 8, False, (1,), 24)
    assert area(one).luts < area(more).luts and area(one).luts < area(wide).luts
    assert area(dsp).dsp == 8 and area(wide).dsp == 0


def test_xne_sweeps_its_weights_for_each_pixel() -> None:
    target = plugins.make("target", "xne")
    net = Net()
    x = net.conv(net.input(1, 256, 6, 6, grid=form("b")), 192, (3, 3), form("b"))
    graph = net.graph(net.linear(net.flat(net.encode(x, form("b"))), 2, form("b")))
    placed = target.place(Program(graph))
    kernel, group = target.by_name["xne"], placed.assignment_of["L1"]
    layer = kernel.layer(kernel.reach(_group(placed, group.nodes[0])))
    spent = work(layer, target.engine)
    assert spent.products == 16 * 9 * 2 * 192  # pixels, taps, blocks of inputs, channels
    assert spent.load == 16 * 9 * 2 * 2 and spent.write == 16 * 2
    cost = target.estimate(placed).layers[1]
    assert cost.cycles == spent.cycles and cost.traffic_bytes["weights"] == spent.products * 16
    energy = spent.products * 128 * 2 * 21.6e-9
    assert cost.energy_uj == pytest.approx(energy)
    exact(placed, "xne")


def _group(placed: Program, name: str) -> object:
    from codesign.mapping.group import Group

    return Group(placed.graph, (placed.graph.by_name[name],))


def test_xne_leaves_what_is_no_binary_layer_to_the_core() -> None:
    placed = place(residual(), None, "xne")
    assert [a.nodes[0] for a in placed.placement if a.kernel == "xne"] == ["L2", "L3"]
    exact(placed, "xne")
    exact(place(residual(), None, "xne{lanes=4}"), "xne{lanes=4}")


@pytest.mark.parametrize(
    ("spec", "words"),
    [("finn{device=zu3eg}", "device zu3eg (XCZU3EG): 300 MHz"), ("xne{lanes=64}", "64 lanes")],
)
def test_targets_say_what_hardware_they_are(spec: str, words: str) -> None:
    facts, lines = plugins.make("target", spec).hardware
    assert words in "\n".join(lines) and facts["name"] in spec


def test_codes_that_the_host_reads_too_leave_at_once() -> None:
    net = Net()
    x = net.encode(net.norm(net.conv(net.input(2, 3, 6, 6), 4, (3, 3), form("b"))), form("u2"))
    plain = net.b.op(Decode(), x, name="plain")
    placed = place(net.graph(net.conv(x, 2, (2, 2), form("t")), plain), None)
    design = plugins.make("target", "finn").design(placed)
    assert sum(engine.kind == "sink" for engine in design.engines) == 2
    exact(placed)
