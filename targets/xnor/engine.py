"""The engines of a streaming design and the streams between them: plain data, no arrays.

A stream carries, image after image, the elements of a feature map in words of `lanes` elements:
rows from above, in them pixels from the left, in these channels; lane 0 is the first. It is a FIFO
of `depth` words. What is written in cycle t can be read from t + 1 on, what is read in cycle t
leaves room for a write from t + 1 on; so two words carry one a cycle. An engine does at most one
step a cycle. A step that reads waits for its words, one that writes for room, and room is taken
when the step is done, not when the word arrives `latency` cycles later: a pipeline behind a step
never stops. `targets.xnor.events` has the steps of each engine.

Elements are codes as they are stored: of signs 0 for -1 and 1 for +1, of signed integers and of
-1, 0 and 1 two's complement. A multiple is what a code stands for (a code less its zero point, a
sign), and sums are those of products of multiples: of signs by signs twice the count of equal bits
less that of lanes that are no padding.
"""

from dataclasses import dataclass
from math import ceil, log2, prod
from typing import ClassVar, Literal

Style = Literal["block", "distributed"]


@dataclass(frozen=True)
class Stream:
    """Words of `lanes` elements of `bits`, `count` elements an image.

    Where `masked`, a bit for so many lanes says that these are padding: zeros, whatever the codes.
    """

    name: str
    count: int
    lanes: int
    bits: int
    masked: int = 0
    depth: int = 2

    @property
    def words(self) -> int:
        """Words an image."""
        return self.count // self.lanes

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.lanes * self.bits + (self.lanes // self.masked if self.masked else 0)


@dataclass(frozen=True)
class Map:
    """A feature map as streams have it: `height` x `width` pixels of `channels`."""

    channels: int
    height: int = 1
    width: int = 1
    last: bool = False  # whether channels are the last axis of the tensor, else the first

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def count(self) -> int:
        """Number of elements."""
        return self.pixels * self.channels


@dataclass(frozen=True)
class Engine:
    """Base: the streams that it reads and writes, by name, and cycles from a step to its word."""

    kind: ClassVar[str]

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def latency(self) -> int:
        """Cycles that a word spends in the pipeline behind the step that makes it."""
        return 0


@dataclass(frozen=True)
class Source(Engine):
    """Words from the host: at most one in `pace` cycles."""

    kind: ClassVar[str] = "source"

    words: int = 0
    pace: int = 1


@dataclass(frozen=True)
class Sink(Engine):
    """Words to the host: at most one in `pace` cycles."""

    kind: ClassVar[str] = "sink"

    words: int = 0
    pace: int = 1


@dataclass(frozen=True)
class Window(Engine):
    """The sliding window: a map's pixels in, those of each window out.

    It keeps `rows` rows of the map in a ring, written at one port and read at the other, word by
    word: those of a window, those that the next row of windows needs anew, and `spare` ones, in
    which the next image begins while the last windows of this one leave. Windows leave row by row:
    of each its taps (ky, kx), of each tap its channels in words. A row's place is free once all
    windows that begin in it or above have left.
    """

    kind: ClassVar[str] = "window"

    map: Map = Map(1)
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilations: tuple[int, int] = (1, 1)
    lanes: int = 1
    bits: int = 1
    spare: int = 0

    @property
    def latency(self) -> int:
        return 1

    @property
    def out(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        size = (self.map.height, self.map.width)
        found = [
            (size[i] + sum(self.pads[i]) - self.dilations[i] * (self.kernel[i] - 1) - 1)
            // self.strides[i]
            + 1
            for i in (0, 1)
        ]
        return found[0], found[1]

    @property
    def high(self) -> int:
        """Rows of the map from a window's first to its last."""
        return self.dilations[0] * (self.kernel[0] - 1) + 1

    @property
    def rows(self) -> int:
        """Rows that the ring holds."""
        return self.high + self.strides[0] + self.spare

    @property
    def chunks(self) -> int:
        """Words of a pixel."""
        return self.map.channels // self.lanes

    @property
    def written(self) -> int:
        """Words that come in, an image."""
        return self.map.pixels * self.chunks

    @property
    def read(self) -> int:
        """Words that leave, an image."""
        return prod(self.out) * prod(self.kernel) * self.chunks


@dataclass(frozen=True)
class Mvtu(Engine):
    """Matrix-vector product with thresholds: `pe` rows and `simd` columns of the matrix a cycle.

    A vector has `rows` / `pe` folds of rows, each of `columns` / `simd` steps. The steps of the
    first fold read a word each and keep it; those of later folds read it again from there. The last
    step of a fold writes a word of `pe` codes to each output (`levels` bits; 0: the sums as they
    are, `sums` bits). Behind a step: products and their tree, the sum, and a comparison for each
    bit of a code (a search among the thresholds of the channel).
    Cycles: vectors * (rows / pe) * (columns / simd); Umuroglu et al., FINN, 2017, section 4.3.
    """

    kind: ClassVar[str] = "mvtu"

    rows: int = 1
    columns: int = 1
    pe: int = 1
    simd: int = 1
    vectors: int = 1
    weight_bits: int = 1
    input_bits: int = 1
    signs: bool = True  # whether both operands are signs, so that products are XNORs
    levels: tuple[int, ...] = (1,)
    sums: int = 16
    style: Style = "distributed"
    masked: int = 0

    @property
    def latency(self) -> int:
        return 1 + max(self.levels)

    @property
    def folds(self) -> int:
        """Folds of rows of a vector."""
        return self.rows // self.pe

    @property
    def steps(self) -> int:
        """Steps of a fold."""
        return self.columns // self.simd

    @property
    def cycles(self) -> int:
        """Cycles of an image when nothing waits."""
        return self.vectors * self.folds * self.steps


@dataclass(frozen=True)
class Pool(Engine):
    """The largest (or, of `falling` channels, smallest) of windows that do not overlap.

    A word is read a cycle, merged into the row of results, and the last of a window writes it.
    Rows and columns that fill no window are read and left.
    """

    kind: ClassVar[str] = "pool"

    map: Map = Map(1)
    kernel: tuple[int, int] = (2, 2)
    lanes: int = 1
    bits: int = 1

    @property
    def out(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return self.map.height // self.kernel[0], self.map.width // self.kernel[1]

    @property
    def words(self) -> int:
        """Words that come in, an image."""
        return self.map.count // self.lanes


@dataclass(frozen=True)
class Reduce(Engine):
    """`taps` words of `chunks` chunks each in turn to one word a chunk: maximum or mean.

    Masked words are left out. A word is read a cycle; the last tap's words write.
    """

    kind: ClassVar[str] = "reduce"

    what: Literal["max", "mean"] = "max"
    windows: int = 1
    taps: int = 1
    chunks: int = 1
    lanes: int = 1
    bits: int = 1

    @property
    def latency(self) -> int:
        return 2 if self.what == "mean" else 0

    @property
    def words(self) -> int:
        """Words that come in, an image."""
        return self.windows * self.taps * self.chunks


@dataclass(frozen=True)
class Table(Engine):
    """Codes by codes: a memory of 2^bits entries for each of `keys` channels (1: for all)."""

    kind: ClassVar[str] = "table"

    words: int = 1
    lanes: int = 1
    bits: int = 8
    levels: tuple[int, ...] = (1,)
    keys: int = 1

    @property
    def latency(self) -> int:
        return 1


@dataclass(frozen=True)
class Add(Engine):
    """The sum of two maps, each times its multiplier, shifted and clamped to `bits`."""

    kind: ClassVar[str] = "add"

    words: int = 1
    lanes: int = 1
    bits: int = 8

    @property
    def latency(self) -> int:
        return 2


@dataclass(frozen=True)
class Fork(Engine):
    """Each word to all outputs at once, as soon as all have room."""

    kind: ClassVar[str] = "fork"

    words: int = 1


@dataclass(frozen=True)
class Width(Engine):
    """Words of `narrow` lanes joined to `wide` (`up`), or wide ones cut; a narrow one a cycle.

    The step that takes the last narrow word writes the wide one; the step that takes a wide word
    writes the first narrow one.
    """

    kind: ClassVar[str] = "width"

    narrow: int = 1
    wide: int = 1
    up: bool = True
    words: int = 1  # narrow ones, an image
    bits: int = 1


@dataclass(frozen=True)
class Design:
    """Engines in the order of the data, and the streams between them by name.

    `owners` has for each engine the layer (pool, sum, ...) of the network that it is a part of.
    """

    engines: tuple[Engine, ...]
    streams: tuple[Stream, ...]
    owners: tuple[str, ...] = ()

    @property
    def by_stream(self) -> dict[str, Stream]:
        """Streams by name."""
        return {stream.name: stream for stream in self.streams}


def interval(engine: Engine) -> int:
    """Cycles between images that an engine takes when nothing waits."""
    match engine:
        case Mvtu():
            return engine.cycles
        case Window():
            return max(engine.written, engine.read)
        case Source() | Sink():
            return engine.words * engine.pace
        case Pool() | Reduce() | Table() | Add() | Fork() | Width():
            return engine.words
    raise AssertionError(engine)


def counter_bits(count: int) -> int:
    """Bits of a counter of so many states."""
    return ceil(log2(count)) if count > 1 else 0
