"""Whole networks as hardware: bits of the functional simulator, cycles of the model."""

from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

pytest.importorskip("amaranth")

from benchmarks.rtl_models import fashion
from codesign import plugins
from codesign.demo.data import load_test
from codesign.ir.graph import Graph
from codesign.ir.ops.pool import MaxPool
from codesign.ir.program import Program
from codesign.targets.xnor.rtl.drive import Driven, drive
from codesign.targets.xnor.rtl.drive_shared import drive_shared
from codesign.targets.xnor.rtl.simulate import Stall
from tests.targets.xnor.nets import Net, form, place, residual
from tests.targets.xnor.test_exact import networks


def driven(
    graph: Graph,
    pick: Callable[[Sequence[int]], int],
    stall: Stall | None = None,
    patience: int = 1,
) -> Driven:
    target, placed = plugins.make("target", "finn"), place(graph, pick)
    draw = np.random.default_rng(1).standard_normal
    inputs = {v: (draw(graph.types[v].shape) * 2).astype(np.float32) for v in graph.inputs}
    return drive(placed, target, inputs, stall, patience)


@given(networks(), st.data())
@settings(deadline=None, max_examples=2, phases=[Phase.explicit, Phase.generate])
def test_convolutions_pools_and_linear_layers(graph: Graph, data: st.DataObject) -> None:
    found = driven(graph, lambda of: data.draw(st.sampled_from(of[:3])))
    assert found.exact and found.cycles == found.modelled


def test_residual_sums_forks_tables_and_means() -> None:
    found = driven(residual(0, 2, 4), lambda of: of[-1])
    assert found.exact and found.cycles == found.modelled


def chain(seed: int, code: str) -> Graph:
    """Two convolutions with a pool of floats behind the first, thresholds of `code`, sums."""
    net = Net(seed)
    x = net.conv(net.input(2, 2, 6, 5, grid=form("b")), 4, (3, 3), form("b"))
    x = net.encode(net.norm(x), form(code))
    x = net.conv(x, 6, (2, 2), form("t" if code == "u2" else "b"))
    return net.graph(net.linear(net.flat(net.encode(net.norm(x), form(code))), 3, form("b")))


@pytest.mark.parametrize(
    "how", [MaxPool((2, 2), (2, 2)), MaxPool((3, 2), (2, 1), ((1, 1), (0, 1)))]
)
@pytest.mark.parametrize("floats", [False, True])
def test_pools_of_codes_and_of_floats(how: MaxPool, floats: bool) -> None:
    net = Net(1)
    x = net.norm(net.conv(net.input(2, 2, 7, 6, grid=form("b")), 8, (3, 3), form("b")))
    x = net.encode(net.pool(x, how) if floats else x, form("u2"))
    x = x if floats else net.pool(x, how)
    graph = net.graph(net.linear(net.flat(x), 3, form("b")))
    found = driven(graph, lambda of: of[-1] if len(of) < 4 else of[-2])
    assert found.exact and found.cycles == found.modelled


@pytest.mark.parametrize("code", ["b", "u1", "u2", "t"])
def test_back_pressure_changes_no_result(code: str) -> None:
    random = Random(3)
    found = driven(
        chain(1, code), lambda of: of[len(of) // 2], lambda p, c: random.random() < 0.6, 9
    )
    assert found.exact and found.cycles != found.modelled
    free = driven(chain(1, code), lambda of: of[len(of) // 2])
    assert free.exact and free.cycles == free.modelled


def test_a_real_image_streams_through() -> None:
    target = plugins.make("target", "finn{device=ecp5_25f}")
    placed = place(fashion(1, 4), lambda of: of[-2] if len(of) > 1 else 1, "finn{device=ecp5_25f}")
    found = drive(placed, target, {"x": load_test().images[:1]})
    assert found.exact and found.cycles == found.modelled
    (sums,) = found.found.values()
    assert len(set(sums.tolist())) > 3


@pytest.mark.parametrize(("lanes", "code"), [(4, "b"), (16, "u1"), (32, "b")])
def test_the_shared_engine_layer_by_layer(lanes: int, code: str) -> None:
    net = Net(3)
    x = net.encode(net.norm(net.conv(net.input(2, 5, 4, 4, grid=form("b")), 7, (3, 3), form("b"))),
                   form(code))  # fmt: skip
    x = net.conv(x, 18, (2, 2), form("b"))
    x = net.flat(net.encode(net.relu(net.norm(x)), form("u1")))
    graph, spec = net.graph(net.linear(x, 3, form("b"))), f"xne{{lanes={lanes}}}"
    target = plugins.make("target", spec)
    inputs = np.random.default_rng(0).standard_normal((2, 5, 4, 4)).astype(np.float32)
    found = drive_shared(place(graph, None, spec), target, {"x": inputs})
    assert list(found) == ["L1", "L2", "L3"]
    for ran in found.values():
        assert ran.exact and set(ran.cycles) == {ran.modelled}


def test_padding_strides_and_codes_of_two_heads_on_the_shared_engine() -> None:
    graph = residual(0, 4, 5)
    target = plugins.make("target", "xne{lanes=8}")
    inputs = np.random.default_rng(0).standard_normal((2, 3, 5, 5)).astype(np.float32)
    found = drive_shared(target.place(Program(graph)), target, {"x": inputs})
    assert found and all(ran.exact and set(ran.cycles) == {ran.modelled} for ran in found.values())
