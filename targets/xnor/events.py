"""What engines do, step by step: when a step may happen, and what it makes happen.

An engine is one or two processes, each a fixed sequence of steps an image, whatever the data. Step
i happens at least `gaps[i]` cycles after the one before, and not before so many words of a channel
are there as its entry in `needs` says (counted from the first image on; at most 0: it waits for
nothing). A stream is two channels: its words, and the room for them, of which there are `depth` at
the start. Steps that neither read nor write are left out; the gap of the next one holds them.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np

from codesign.targets.xnor.engine import (
    Add,
    Design,
    Engine,
    Fork,
    Mvtu,
    Pool,
    Reduce,
    Sink,
    Source,
    Stream,
    Table,
    Width,
    Window,
)

Channel = tuple[str, str]
NOTHING = -(1 << 60)


@dataclass
class Process:
    """One image's steps. `needs` and `makes` by channel: the words needed and made up to a step."""

    name: str
    gaps: np.ndarray
    needs: dict[Channel, np.ndarray] = field(default_factory=dict)
    makes: dict[Channel, np.ndarray] = field(default_factory=dict)
    delays: dict[Channel, int] = field(default_factory=dict)

    def reads(self, stream: Stream, taken: np.ndarray) -> None:
        """Steps where `taken` read a word of `stream`."""
        self._need(("words", stream.name), np.where(taken, np.cumsum(taken), NOTHING))
        self._make(("room", stream.name), taken, 1)

    def writes(self, stream: Stream, given: np.ndarray, latency: int) -> None:
        """Steps where `given` write a word of `stream`."""
        self._make(("words", stream.name), given, 1 + latency)
        need = np.cumsum(given) - stream.depth
        self._need(("room", stream.name), np.where(given, need, NOTHING))

    def _need(self, channel: Channel, count: np.ndarray) -> None:
        self.needs[channel] = count

    def _make(self, channel: Channel, made: np.ndarray, delay: int) -> None:
        self.makes[channel] = made.astype(bool)
        self.delays[channel] = delay


def processes(design: Design) -> list[Process]:
    """The processes of all engines, in the order of the data."""
    streams = design.by_stream
    found: list[Process] = []
    for engine in design.engines:
        into = [streams[name] for name in engine.inputs]
        out = [streams[name] for name in engine.outputs]
        if isinstance(engine, Window):
            found += _window(engine, into[0], out[0])
        else:
            found.append(_plain(engine, into, out))
    return found


def _plain(engine: Engine, into: list[Stream], out: list[Stream]) -> Process:
    """An engine of one process."""
    gaps, taken, given = _steps(engine)
    process = Process(engine.name, gaps)
    for stream in into:
        process.reads(stream, taken)
    for stream in out:
        process.writes(stream, given, engine.latency)
    return process


def _steps(engine: Engine) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gap, whether a word is read and whether one is written, of each step of an image."""
    match engine:
        case Mvtu():
            return _mvtu(engine)
        case Pool():
            given = _pool(engine)
        case Reduce():
            at = np.arange(engine.words)
            given = at // engine.chunks % engine.taps == engine.taps - 1
        case Width():
            return _width(engine)
        case Source() | Sink():
            every = np.ones(engine.words, bool)
            return np.full(engine.words, engine.pace), every, every
        case Table() | Add() | Fork():
            given = np.ones(engine.words, bool)
        case _:
            raise AssertionError(engine)
    every = np.ones(len(given), bool)
    return np.ones(len(given), np.int64), every, given


def _mvtu(engine: Mvtu) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A vector: the steps of the first fold, then the last one of each other fold."""
    first, later = engine.steps, engine.folds - 1
    gaps = np.concatenate([np.ones(first, np.int64), np.full(later, first)])
    taken = np.arange(first + later) < first
    given = np.arange(first + later) >= first - 1
    return tuple(np.tile(part, engine.vectors) for part in (gaps, taken, given))  # type: ignore[return-value]


def _pool(engine: Pool) -> np.ndarray:
    """Words that end a window write."""
    (high, wide), chunks = engine.kernel, engine.map.channels // engine.lanes
    rows, columns = engine.out
    y = np.arange(engine.map.height)[:, None, None]
    x = np.arange(engine.map.width)[None, :, None]
    ends = (y % high == high - 1) & (x % wide == wide - 1)
    inside = (y < rows * high) & (x < columns * wide)
    return np.repeat(ends & inside, chunks, axis=2).ravel()


def _width(engine: Width) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ratio = engine.wide // engine.narrow
    at = np.arange(engine.words) % ratio
    every = np.ones(engine.words, bool)
    taken, given = (every, at == ratio - 1) if engine.up else (at == 0, every)
    return np.ones(engine.words, np.int64), taken, given


def taps(engine: Window) -> np.ndarray:
    """Word of the map (y, x, chunk in order) for each word that leaves, -1 for padding."""
    (rows, columns), (high, wide) = engine.out, engine.kernel
    axes = np.ogrid[:rows, :columns, :high, :wide, : engine.chunks]
    oy, ox, ky, kx, chunk = axes
    y = oy * engine.strides[0] + ky * engine.dilations[0] - engine.pads[0][0]
    x = ox * engine.strides[1] + kx * engine.dilations[1] - engine.pads[1][0]
    inside = (y >= 0) & (y < engine.map.height) & (x >= 0) & (x < engine.map.width)
    index = (y * engine.map.width + x) * engine.chunks + chunk
    return np.where(inside, index, -1).ravel()


def _window(engine: Window, into: Stream, out: Stream) -> list[Process]:
    """Who writes the ring and who reads it; each tells the other how far it is."""
    here, free = ("here", engine.name), ("free", engine.name)
    fill = Process(f"{engine.name}.fill", np.ones(engine.written, np.int64))
    fill.reads(into, np.ones(engine.written, bool))
    fill._need(free, _freed(engine))
    fill._make(here, np.ones(engine.written, bool), 1)
    read = Process(f"{engine.name}.read", np.ones(engine.read, np.int64))
    index = taps(engine)
    read._need(here, np.where(index >= 0, index + 1, NOTHING))
    read.writes(out, np.ones(engine.read, bool), engine.latency)
    read._make(free, np.ones(engine.read, bool), 1)
    return [fill, read]


def _freed(engine: Window) -> np.ndarray:
    """Words that must have left before each word may be written over a row of the ring."""
    rows, height = engine.out[0], engine.map.height
    row = np.arange(height) - engine.rows  # the row that was in its place, in images before too
    image, y = row // height, row % height
    last = np.minimum(rows - 1, (y + engine.pads[0][0]) // engine.strides[0])
    per_row = engine.read // rows
    count = image * engine.read + (last + 1) * per_row
    return np.repeat(count, engine.map.width * engine.chunks)


def total(process: Process, channel: Channel) -> int:
    """Words of `channel` that a process makes in an image."""
    return int(prod(process.makes[channel].shape) and process.makes[channel].sum())
