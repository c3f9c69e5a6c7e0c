"""LUTs, blocks of RAM and DSP slices of engines and FIFOs, counted part by part.

A multiplier-free row of `simd` products is LUTs for the products and adders of a tree, a LUT a bit
of each adder (a carry chain). One factor, `OVERHEAD`, and the shell of the device are fitted to
what designs took that were built; everything else is counted. (FINN-R, Blott et al., TRETS 2018,
section 4, fits such a line for its engines; here the parts are counted.)
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from math import ceil

from codesign.targets.xnor.bram import blocks, dual, lutram, shift
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
    Style,
    Table,
    Width,
    Window,
    counter_bits,
)

OVERHEAD = 1.45  # LUTs of a placed design for each LUT that is counted: registers' enables, routing
DSP_BITS = 4  # products of operands of more bits each are a DSP slice
BLOCK_DEPTH = 256  # FIFOs that are deeper are blocks of RAM, where that takes fewer LUTs


@dataclass(frozen=True)
class Area:
    """Of each resource, how much; `lutram` are those of the LUTs that are memory."""

    luts: int = 0
    lutram: int = 0
    bram18: int = 0
    dsp: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Area)))


def memory(depth: int, width: int, style: Style) -> Area:
    """A memory that is written once and read by one port."""
    if style == "block":
        return Area(bram18=blocks(depth, width))
    luts = lutram(depth, width)
    return Area(luts, luts)


def cheapest(depth: int, width: int, ports: int = 1) -> Area:
    """A small memory in LUTs, a large one in blocks: in blocks once they are half full."""
    luts = dual(depth, width) if ports > 1 else lutram(depth, width)
    many = blocks(depth, width)
    return Area(bram18=many) if depth * width * 2 > many * 18432 else Area(luts, luts)


@lru_cache(maxsize=1 << 16)
def area(engine: Engine) -> Area:
    """What an engine takes."""
    counted = _counted(engine)
    logic = counted.luts - counted.lutram
    return Area(ceil(OVERHEAD * logic) + counted.lutram, *_rest(counted))


def _rest(one: Area) -> tuple[int, int, int]:
    return one.lutram, one.bram18, one.dsp


def _counted(engine: Engine) -> Area:
    match engine:
        case Mvtu():
            return _mvtu(engine)
        case Window():
            width = engine.lanes * engine.bits
            depth = engine.rows * engine.map.width * engine.chunks
            control = 4 * counter_bits(depth) + 3 * counter_bits(engine.read)
            return cheapest(depth, width, 2) + Area(control)
        case Pool():
            words = engine.out[1] * (engine.map.channels // engine.lanes)
            compare = engine.lanes * (1 if engine.bits == 1 else 2 * engine.bits)
            row = cheapest(max(1, words), engine.lanes * engine.bits, 2)
            return row + Area(compare + 3 * counter_bits(engine.words))
        case Reduce():
            wide = engine.bits + (counter_bits(engine.taps) if engine.what == "mean" else 0)
            lanes = engine.lanes * (wide if engine.what == "mean" else 2 * engine.bits)
            kept = cheapest(engine.chunks, engine.lanes * wide, 2)
            scale = Area(dsp=engine.lanes) if engine.what == "mean" else Area()
            return kept + scale + Area(lanes + 2 * counter_bits(engine.words))
        case Table():
            bits, deep = sum(engine.levels), engine.keys << engine.bits
            one = cheapest(max(1, deep // (engine.lanes if engine.keys > 1 else 1)), bits)
            return _times(one, engine.lanes) + Area(counter_bits(engine.words))
        case Add():
            return Area(engine.lanes * 3 * engine.bits, dsp=2 * engine.lanes)
        case Width():
            return Area(engine.wide * engine.bits + counter_bits(engine.words))
        case Fork():
            return Area(2 * len(engine.outputs))
        case Source() | Sink():
            return Area(counter_bits(engine.words))
    raise AssertionError(engine)


def _times(one: Area, count: int) -> Area:
    return Area(*(getattr(one, f.name) * count for f in fields(Area)))


def _mvtu(engine: Mvtu) -> Area:
    """Rows of products, trees, sums and thresholds, and the memories of all rows side by side."""
    row, dsp = _row(engine)
    row += engine.sums  # the adder of the sum
    row += sum(-(-engine.sums // 2) * bits for bits in engine.levels)  # two bits a LUT
    logic = Area(engine.pe * row, dsp=engine.pe * dsp)
    control = 2 * (counter_bits(engine.folds) + counter_bits(engine.steps)) + 8
    weights = memory(
        engine.folds * engine.steps, engine.pe * engine.simd * engine.weight_bits, engine.style
    )
    steps = Area()
    for bits in engine.levels:
        steps += thresholds(engine, bits)
    word = engine.simd * engine.input_bits
    word += engine.simd // engine.masked if engine.masked else 0
    kept = cheapest(engine.steps, word, 2) if engine.folds > 1 else Area()
    return logic + Area(control) + weights + steps + kept


def thresholds(engine: Mvtu, bits: int) -> Area:
    """Memories of the thresholds of codes of `bits`: one for each comparison of the search.

    The first reads the same word for all rows, with the direction of each; the next ones read where
    the row's comparisons so far point to, so each row has its own: 2^i thresholds a channel in the
    i-th.
    """
    if not bits:
        return Area()
    found = cheapest(engine.folds, engine.pe * (engine.sums + 1))
    for level in range(1, bits):
        found += _times(cheapest(engine.folds << level, engine.sums), engine.pe)
    return found


def _row(engine: Mvtu) -> tuple[int, int]:
    """LUTs and DSP slices of a row's products and the tree that adds them."""
    simd, weight, given = engine.simd, engine.weight_bits, engine.input_bits
    if weight == given == 1:  # three XNORs (of 0 and 1, ANDs) and their count are two LUTs
        triples = -(-simd // 3)
        return 2 * triples + tree(triples, 2), 0
    if min(weight, given) > DSP_BITS:
        return tree(simd, weight + given), simd
    if weight <= 2:  # signs, or signs and zeros, of codes
        return simd * (given if given > 1 else 1) + tree(simd, given + 1), 0
    return simd * weight * given + tree(simd, weight + given), 0


def tree(count: int, bits: int) -> int:
    """LUTs of the adders of a tree over `count` numbers of `bits`: a LUT a bit."""
    found = 0
    while count > 1:
        bits += 1
        found += count // 2 * bits
        count = -(-count // 2)
    return found


def in_blocks(stream: Stream) -> bool:
    """Whether a stream's FIFO lies in blocks of RAM."""
    luts, many = shift(stream.depth, stream.width), blocks(stream.depth, stream.width)
    return stream.depth > BLOCK_DEPTH and many * 64 < luts


def fifo(stream: Stream) -> Area:
    """What a stream's FIFO takes."""
    if in_blocks(stream):
        many = blocks(stream.depth, stream.width)
        return Area(2 * counter_bits(stream.depth), bram18=many)
    luts = shift(stream.depth, stream.width)
    return Area(luts + counter_bits(stream.depth), luts)


def design_area(design: Design) -> Area:
    """All engines and FIFOs of a design; the shell of the device is not in it."""
    found = Area()
    for engine in design.engines:
        found += area(engine)
    for stream in design.streams:
        found += fifo(stream)
    return found
