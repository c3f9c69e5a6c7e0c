"""Engines clock by clock: registers, counters and FIFOs, as hardware would have them.

Written from what `targets.xnor.engine` says of each engine, without its list of steps.
"""

from collections import deque
from collections.abc import Callable

from codesign.targets.xnor.engine import (
    Design,
    Engine,
    Mvtu,
    Pool,
    Reduce,
    Sink,
    Source,
    Width,
    Window,
)


class Fifo:
    """Words by the cycle from which they can be read; room counts at the start of a cycle."""

    def __init__(self, depth: int) -> None:
        self.depth, self.words, self.used, self.freed = depth, deque[int](), 0, 0

    def readable(self, now: int) -> bool:
        return bool(self.words) and self.words[0] <= now

    @property
    def room(self) -> bool:
        return self.used + self.freed < self.depth

    def read(self) -> None:
        self.words.popleft()
        self.used -= 1
        self.freed += 1  # until the cycle ends

    def write(self, now: int, latency: int) -> None:
        self.words.append(now + 1 + latency)
        self.used += 1


class Box:
    """An engine with counters; `done` has the cycle of its last step of each image."""

    def __init__(self, engine: Engine, fifos: dict[str, Fifo]) -> None:
        self.engine, self.count, self.done = engine, 0, list[int]()
        self.into = [fifos[name] for name in engine.inputs]
        self.out = [fifos[name] for name in engine.outputs]
        self.wait = 0

    def step(self, now: int) -> None:
        takes, gives, total = self.what(self.count)
        if now < self.wait or (takes and not all(f.readable(now) for f in self.into)):
            return
        if gives and not all(f.room for f in self.out):
            return
        for fifo in self.into if takes else ():
            fifo.read()
        for fifo in self.out if gives else ():
            fifo.write(now, self.engine.latency)
        self.count += 1
        if isinstance(self.engine, Source | Sink):
            self.wait = now + self.engine.pace
        if self.count == total:
            self.count = 0
            self.done.append(now)

    def what(self, at: int) -> tuple[bool, bool, int]:
        """Whether step `at` reads and writes, and how many there are."""
        e = self.engine
        if isinstance(e, Mvtu):
            fold, step = divmod(at, e.steps)
            return fold % e.folds == 0, step == e.steps - 1, e.cycles
        if isinstance(e, Pool):
            chunks = e.map.channels // e.lanes
            y, x = divmod(at // chunks, e.map.width)
            ends = y % e.kernel[0] == e.kernel[0] - 1 and x % e.kernel[1] == e.kernel[1] - 1
            return True, ends, e.words
        if isinstance(e, Reduce):
            return True, at // e.chunks % e.taps == e.taps - 1, e.words
        if isinstance(e, Width):
            part = at % (e.wide // e.narrow)
            last = part == e.wide // e.narrow - 1
            return (True, last, e.words) if e.up else (part == 0, True, e.words)
        return True, True, e.words  # type: ignore[attr-defined]


class WindowBox:
    """The ring: what is written and what has left, in words since the beginning."""

    def __init__(self, engine: Window, fifos: dict[str, Fifo]) -> None:
        self.e, self.done = engine, list[int]()
        self.into, self.out = fifos[engine.inputs[0]], fifos[engine.outputs[0]]
        self.written, self.oy, self.image, self.at = 0, 0, 0, 0

    def step(self, now: int) -> None:
        e = self.e
        row = self.written // (e.map.width * e.chunks)  # over all images
        top = max(0, min(e.map.height, self.oy * e.strides[0] - e.pads[0][0]))
        base = self.image * e.map.height + top
        fill = self.into.readable(now) and row < base + e.rows
        emit = self.out.room and self._there()
        if fill:
            self.into.read()
            self.written += 1
        if emit:
            self.out.write(now, e.latency)
            self._next(now)

    def _there(self) -> bool:
        """Whether the word to leave is in the ring, or is padding."""
        e = self.e
        rest, chunk = divmod(self.at, e.chunks)
        rest, kx = divmod(rest, e.kernel[1])
        ox, ky = divmod(rest, e.kernel[0])
        y = self.oy * e.strides[0] + ky * e.dilations[0] - e.pads[0][0]
        x = ox * e.strides[1] + kx * e.dilations[1] - e.pads[1][0]
        if not (0 <= y < e.map.height and 0 <= x < e.map.width):
            return True
        index = (y * e.map.width + x) * e.chunks + chunk
        return self.written > self.image * e.written + index

    def _next(self, now: int) -> None:
        self.at += 1
        if self.at == self.e.read // self.e.out[0]:
            self.at, self.oy = 0, self.oy + 1
        if self.oy == self.e.out[0]:
            self.oy, self.image = 0, self.image + 1
            self.done.append(now)


def clocked(design: Design, images: int, most: int) -> dict[str, list[int]]:
    """The cycle of the last step of each image by engine."""
    fifos = {s.name: Fifo(s.depth) for s in design.streams}
    make: Callable[[Engine], Box | WindowBox] = lambda e: (  # noqa: E731
        WindowBox(e, fifos) if isinstance(e, Window) else Box(e, fifos)
    )
    boxes = {e.name: make(e) for e in design.engines}
    ends = [boxes[e.name] for e in design.engines if not e.outputs]
    for now in range(most):
        for fifo in fifos.values():
            fifo.freed = 0
        for box in reversed(boxes.values()):  # nothing written now can be read now
            box.step(now)
        if all(len(box.done) >= images for box in ends):
            return {name: box.done[:images] for name, box in boxes.items()}
    raise AssertionError("the design does not come to an end")
