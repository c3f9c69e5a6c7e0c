"""A placed program's hardware on real inputs: words in, words out, and what they ought to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from codesign.ir.program import Program
from codesign.targets.xnor.engine import Design, Sink, Source, Stream
from codesign.targets.xnor.maps import maps, streamed
from codesign.targets.xnor.rtl.contents import contents_of
from codesign.targets.xnor.rtl.simulate import Stall, Trace, from_words, simulate, to_words
from codesign.targets.xnor.rtl.top import make_top
from codesign.targets.xnor.timing import run

if TYPE_CHECKING:
    from codesign.targets.xnor.simulator import Simulator
    from codesign.targets.xnor.target import Finn

ROOM = 64  # cycles that a simulation may take above the model's before it is given up


@dataclass(frozen=True)
class Driven:
    """Codes that left by each sink and those of the functional simulator; cycles of each port.

    `cycles` and `modelled` have the cycle of the last word of each image, by the name of a port's
    engine.
    """

    found: Mapping[str, np.ndarray]
    wanted: Mapping[str, np.ndarray]
    cycles: Mapping[str, list[int]]
    modelled: Mapping[str, list[int]]

    @property
    def exact(self) -> bool:
        """Whether every code is right."""
        return all(np.array_equal(self.found[name], self.wanted[name]) for name in self.wanted)


def drive(
    placed: Program,
    target: "Finn",
    inputs: Mapping[str, np.ndarray],
    stall: Stall | None = None,
    patience: int = 1,
) -> Driven:
    """Simulate the hardware of a placed program on a batch, image after image.

    It may take `patience` times the model's cycles.
    """
    design = target.design(placed)
    simulator = target.simulator(placed)
    simulator(inputs)
    streams, images = design.by_stream, len(next(iter(inputs.values())))
    sources = [e for e in design.engines if isinstance(e, Source)]
    sinks = [e for e in design.engines if isinstance(e, Sink)]
    given = {
        e.name: to_words(_codes(simulator, streams[e.outputs[0]], placed), streams[e.outputs[0]])
        for e in sources
    }
    wanted = {e.name: _codes(simulator, streams[e.inputs[0]], placed).ravel() for e in sinks}
    modelled = _modelled(design, images)
    most = max(last[-1] for last in modelled.values()) * patience + ROOM
    top = make_top(design, contents_of(placed, target, design))
    trace = simulate(top, given, {e.name: e.words * images for e in sinks}, most, stall)
    found = {
        e.name: from_words(trace.words[e.name], streams[e.inputs[0]], _signed(wanted[e.name]))
        for e in sinks
    }
    return Driven(found, wanted, _ends(design, trace, images), modelled)


def _signed(codes: np.ndarray) -> bool:
    return bool((codes < 0).any())


def _codes(simulator: "Simulator", stream: Stream, placed: Program) -> np.ndarray:
    """Codes or sums that a stream carries, in its order, by the functional simulator."""
    name = stream.name.rsplit(".", 1)[0]
    codes = simulator.raw[name] if name in simulator.raw else simulator.code(name)
    return streamed(codes, maps(placed.graph)[name])


def _modelled(design: Design, images: int) -> dict[str, list[int]]:
    times, found = run(design, images), {}
    for engine in design.engines:
        if isinstance(engine, Source | Sink):
            found[engine.name] = [int(t) for t in times[engine.name].reshape(images, -1)[:, -1]]
    return found


def _ends(design: Design, trace: Trace, images: int) -> dict[str, list[int]]:
    found = {}
    for engine in design.engines:
        if isinstance(engine, Source | Sink):
            cycles = trace.cycles[engine.name][: engine.words * images]
            found[engine.name] = cycles[engine.words - 1 :: engine.words]
    return found
