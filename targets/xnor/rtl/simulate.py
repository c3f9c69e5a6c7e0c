"""A design's hardware, clock by clock, in Amaranth's own simulator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from codesign.errors import RefusedError
from codesign.targets.xnor.engine import Stream
from codesign.targets.xnor.rtl.parts import pack
from codesign.targets.xnor.rtl.top import Port, Top

Stall = Callable[[str, int], bool]


@dataclass
class Trace:
    """Words as they left by the port's engine, and the cycle in which each port's words passed."""

    words: dict[str, list[int]] = field(default_factory=dict)
    cycles: dict[str, list[int]] = field(default_factory=dict)


def simulate(
    top: Top,
    given: Mapping[str, Sequence[int]],
    wanted: Mapping[str, int],
    most: int,
    stall: Stall | None = None,
) -> Trace:
    """Give each source its words, as early as it takes them, until so many came from each sink.

    Where `stall(port, cycle)`, the host neither gives nor takes there. RefusedError if `most`
    cycles do not do.
    """
    from amaranth.sim import Simulator

    host = _Host(top, given, wanted, most, stall or (lambda port, cycle: False))
    simulator = Simulator(top.module)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host.run)
    simulator.run()
    if not host.done:
        raise RefusedError(f"the hardware has not come to an end after {most} cycles")
    return host.trace


class _Host:
    def __init__(
        self,
        top: Top,
        given: Mapping[str, Sequence[int]],
        wanted: Mapping[str, int],
        most: int,
        stall: Stall,
    ) -> None:
        self.ports, self.given, self.wanted = top.ports, given, wanted
        self.most, self.stall, self.trace = most, stall, Trace()
        for name in self.ports:
            self.trace.words[name], self.trace.cycles[name] = [], []

    @property
    def done(self) -> bool:
        """Whether all words came."""
        return all(len(self.trace.words[name]) >= count for name, count in self.wanted.items())

    async def run(self, ctx) -> None:  # type: ignore[no-untyped-def]
        """Offer, take, count, a cycle at a time."""
        for cycle in range(self.most):
            for name, port in self.ports.items():
                self._offer(ctx, name, port, cycle)
            for name, port in self.ports.items():
                if ctx.get(port.valid) and ctx.get(port.ready):
                    self.trace.words[name].append(ctx.get(port.data))
                    self.trace.cycles[name].append(cycle)
            if self.done:
                return
            await ctx.tick()

    def _offer(self, ctx, name: str, port: Port, cycle: int) -> None:  # type: ignore[no-untyped-def]
        stalled, passed = self.stall(name, cycle), len(self.trace.words[name])
        if not port.given:
            ctx.set(port.ready, not stalled)
            return
        words = self.given[name]
        offered = passed < len(words) and not stalled
        ctx.set(port.valid, offered)
        if offered:
            ctx.set(port.data, words[passed])


def to_words(codes: np.ndarray, stream: Stream) -> list[int]:
    """Words of codes as they are streamed: any shape, the elements of a word last."""
    return [pack(word, stream.bits) for word in codes.reshape(-1, stream.lanes)]


def from_words(words: Sequence[int], stream: Stream, signed: bool) -> np.ndarray:
    """int64 codes of words, in the order of the stream."""
    mask = (1 << stream.bits) - 1
    found = [(word >> (i * stream.bits)) & mask for word in words for i in range(stream.lanes)]
    codes = np.array(found, np.int64)
    if signed:
        codes = np.where(codes >> (stream.bits - 1), codes - (1 << stream.bits), codes)
    return codes
