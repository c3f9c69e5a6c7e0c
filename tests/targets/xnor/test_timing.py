"""Cycles: what the rules give is what registers and counters do, clock by clock."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import finn_models as models
from codesign import plugins
from codesign.ir.graph import Graph
from codesign.targets.xnor.engine import Mvtu, Window, interval
from codesign.targets.xnor.target import Finn
from codesign.targets.xnor.timing import IMAGES, goal, run, sized, timed
from codesign.targets.xnor.whole import plain_design
from tests.targets.xnor.clocked import clocked
from tests.targets.xnor.nets import place, residual
from tests.targets.xnor.test_exact import networks

FINN: Finn = plugins.make("target", "finn")


def _agree(graph: Graph, data: st.DataObject, deep: bool) -> None:
    placed = place(graph, lambda of: data.draw(st.sampled_from(of[-3:])))
    design = plain_design(placed, FINN)
    design = sized(design) if deep else design
    times = run(design, IMAGES)
    last = {
        e.name: times[f"{e.name}.read" if isinstance(e, Window) else e.name] for e in design.engines
    }
    most = max(int(t[-1]) for t in times.values()) + 2
    found = clocked(design, IMAGES, most)
    for name, steps in last.items():
        each = len(steps) // IMAGES
        want = [int(steps[(i + 1) * each - 1]) for i in range(IMAGES)]
        assert found[name] == want[: len(found[name])], name


@given(networks(), st.data())
@settings(deadline=None, max_examples=6)
def test_the_rules_are_what_hardware_does(graph: Graph, data: st.DataObject) -> None:
    _agree(graph, data, data.draw(st.booleans()))


@given(st.integers(1, 4), st.integers(4, 6), st.data())
@settings(deadline=None, max_examples=8)
def test_forks_and_sums_do_not_lock_up(channels: int, size: int, data: st.DataObject) -> None:
    _agree(residual(0, channels, size), data, True)


@given(networks(), st.data())
@settings(deadline=None, max_examples=10)
def test_more_room_makes_nothing_later(graph: Graph, data: st.DataObject) -> None:
    placed = place(graph, lambda of: data.draw(st.sampled_from(of)))
    found = sized(plain_design(placed, FINN))
    deeper = tuple(replace(s, depth=s.depth + data.draw(st.integers(0, 9))) for s in found.streams)
    times, loose = timed(found), timed(replace(found, streams=deeper))
    assert goal(found) <= loose.interval <= times.interval
    assert loose.latency <= times.latency


PUBLISHED: dict[str, tuple[Callable[[], Graph], models.Pairs, list[int]]] = {
    "cnv": (lambda: models.cnv(), models.CNV_W1,
            [32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 8192]),
    "cnv w2a2": (lambda: models.cnv(2, 2), models.CNV_W2A2,
                 [64800, 112896, 82944, 115200, 82944, 73728, 65536, 65536, 8192]),
    "lfc": (lambda: models.lfc(), models.LFC, [416, 512, 512, 512]),
    "lfc w1a2": (lambda: models.lfc(1, 2), models.LFC, [416, 512, 512, 512]),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_intervals_of_published_foldings(name: str) -> None:
    make, pairs, cycles = PUBLISHED[name]
    drawn = iter([n for pair in pairs for n in pair])
    placed = place(make(), lambda of: next(drawn), "finn{rate=100}")
    design = sized(plain_design(placed, FINN))
    assert [interval(e) for e in design.engines if isinstance(e, Mvtu)] == cycles
    times = timed(design)
    assert times.interval == max(cycles)
    assert times.latency < sum(cycles)  # engines overlap within an image
