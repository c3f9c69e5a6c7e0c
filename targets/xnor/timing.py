"""When each step of a design happens: every engine as early as its words and room allow.

Steps depend on earlier ones alone, so the times are the least that satisfy the rules of
`targets.xnor.events`; more room never makes one later. (Lee and Messerschmitt, Synchronous data
flow, 1987; Baccelli et al., Synchronization and linearity, 1992, section 2.5.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from codesign.targets.xnor.engine import (
    Design,
    Engine,
    Mvtu,
    Reduce,
    Source,
    Stream,
    Width,
    Window,
    interval,
)
from codesign.targets.xnor.events import Process, processes
from codesign.targets.xnor.solve import solve

IMAGES = 4
UNBOUNDED = 1 << 40


@dataclass(frozen=True)
class Times:
    """Cycles, counted from the first word offered to the first engine, in image after image.

    `latency` of the first image, `interval` between the last two; `first` and `last` by engine:
    the cycles of its first written word and of its last step in the first image.
    """

    latency: int
    interval: int
    first: Mapping[str, int]
    last: Mapping[str, int]


def run(design: Design, images: int, started: int = 0) -> dict[str, np.ndarray]:
    """The cycle of every step of every process, by its name; RefusedError if some never happen.

    With `started` the sources offer their words evenly over so many cycles an image.
    """
    found = processes(design)
    if started:
        paced = {e.name: e for e in design.engines if isinstance(e, Source)}
        for process in found:
            if process.name in paced:
                process.gaps = _even(paced[process.name].words, started)
    return solve(found, images)


def _even(words: int, cycles: int) -> np.ndarray:
    """Gaps that spread `words` steps over `cycles`."""
    at = np.arange(words + 1, dtype=np.int64) * cycles // words
    return np.concatenate([[cycles - at[-2]], np.diff(at)[:-1]])


@lru_cache(maxsize=64)
def timed(design: Design) -> Times:
    """Latency and interval of a design, its FIFOs as deep as they are."""
    times = run(design, IMAGES)
    ends = [_sinks_end(design, times, image) for image in range(IMAGES)]
    first, last = {}, {}
    made = {p.name: p for p in processes(design)}
    for engine in design.engines:
        name = f"{engine.name}.read" if isinstance(engine, Window) else engine.name
        flags = [f for c, f in made[name].makes.items() if c[0] == "words"]
        at = int(np.argmax(flags[0])) if flags else 0
        first[engine.name] = int(times[name][at])
        last[engine.name] = int(times[name][len(made[name].gaps) - 1])
    return Times(ends[0] + 1, ends[-1] - ends[-2], first, last)


def _sinks_end(design: Design, times: Mapping[str, np.ndarray], image: int) -> int:
    """The last step of the engines without outputs in an image."""
    found = 0
    for engine in design.engines:
        if not engine.outputs:
            steps = times[engine.name]
            each = len(steps) // IMAGES
            found = max(found, int(steps[(image + 1) * each - 1]))
    return found


def shallow(engine: Engine) -> int:
    """The least depth of a FIFO behind `engine` that carries a word a cycle."""
    return 2 + engine.latency


def goal(design: Design) -> int:
    """The interval of the slowest engine."""
    return max(interval(engine) for engine in design.engines)


@lru_cache(maxsize=64)
def sized(design: Design) -> Design:
    """`design` with FIFOs, and rings of sliding windows, that keep it at its slowest engine's pace.

    Rings have no spare rows where the pace is kept without them, else as many as a window has.
    """
    plain = _with_depths(design)
    best, pace = plain, timed(plain).interval
    if pace > goal(design):
        roomy = _with_depths(replace(design, engines=tuple(map(_roomy, design.engines))))
        if timed(roomy).interval < pace:
            best = roomy
    return best


def _roomy(engine: Engine) -> Engine:
    return replace(engine, spare=engine.high) if isinstance(engine, Window) else engine


def _with_depths(design: Design) -> Design:
    """`design` with FIFOs as deep as keep every engine at the interval of the slowest.

    They hold what they do when images are offered evenly, at that interval, and all FIFOs but those
    behind a sliding window are without bound. This schedule keeps to these depths, so the one that
    is as early as possible, with the same depths, does no worse.
    """
    producer = {s: e for e in design.engines for s in e.outputs}
    inner = _inner(design, producer)
    reader = {s: e for e in design.engines for s in e.inputs}
    least = {s.name: _least(producer[s.name], reader[s.name]) for s in design.streams}
    loose = tuple(
        replace(s, depth=least[s.name] if s.name in inner else UNBOUNDED) for s in design.streams
    )
    trial = replace(design, streams=loose)
    times = run(trial, IMAGES, goal(design))
    found, made = [], {p.name: p for p in processes(trial)}
    for stream in trial.streams:
        depth = least[stream.name]
        if stream.name not in inner:
            depth = max(depth, _held(stream, made, times))
        found.append(replace(stream, depth=depth))
    return replace(design, streams=tuple(found))


def _least(producer: Engine, reader: Engine) -> int:
    """The least depth of a FIFO: a vector where words are joined for a matrix unit.

    Joining takes longer than the steps that read them; so it goes on while the others are done.
    """
    if isinstance(producer, Width) and producer.up and isinstance(reader, Mvtu):
        return max(shallow(producer), reader.steps + 1)
    return shallow(producer)


def _inner(design: Design, producer: Mapping[str, Engine]) -> set[str]:
    """Streams from a sliding window to the engine that takes its windows."""
    found: set[str] = set()
    for engine in design.engines:
        if isinstance(engine, Window) or (
            not isinstance(engine, Mvtu | Reduce)
            and engine.inputs
            and found.issuperset(engine.inputs)
        ):
            found.update(engine.outputs)
    return found


def _held(stream: Stream, made: Mapping[str, Process], times: Mapping[str, np.ndarray]) -> int:
    """The most words that a stream holds at once, those on their way in included."""
    words, room = ("words", stream.name), ("room", stream.name)
    (writer,) = [p for p in made.values() if words in p.makes]
    (reader,) = [p for p in made.values() if room in p.makes]
    written = times[writer.name][np.tile(writer.makes[words], IMAGES)]
    read = times[reader.name][np.tile(reader.makes[room], IMAGES)]
    gone = np.searchsorted(read, written - 1, side="right")
    return int((np.arange(1, len(written) + 1) - gone).max(initial=0))
