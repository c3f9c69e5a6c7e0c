"""The shared engine: it does one layer after another, a word of signs of one output at a time.

Job j runs from `start` (with `job` = j) for as long as `busy`. Its inputs are words of `lanes`
signs at (row, column, block of channels) in the memory of inputs, its results words in the order
in which they are made: by block of output channels, by pixel, by head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.memory import Memory

from codesign.targets.xnor.rtl.jobs import Job
from codesign.targets.xnor.rtl.parts import ones, reach_bits, style, table
from codesign.targets.xnor.shared.machine import THRESHOLD_BITS

Pick = Callable[[Sequence[int]], Any]


@dataclass(frozen=True)
class SharedTop:
    """The engine: its module, and its ports by name; `words` of the memory of inputs, results."""

    module: Module
    ports: dict[str, Any]
    words: tuple[int, int]


class Loop:
    """A counter whose extent the job chooses."""

    def __init__(self, m: Module, name: str, extents: Sequence[int], pick: Pick, go: Any) -> None:
        self.value, self.last = Signal(range(max(2, *extents, 2)), name=name), Signal()
        m.d.comb += self.last.eq(self.value == pick([extent - 1 for extent in extents]))
        with m.If(go):
            m.d.sync += self.value.eq(Mux(self.last, 0, self.value + 1))


def make_shared(jobs: Sequence[Job]) -> SharedTop:
    """The engine for `jobs`, their weights and thresholds in its memories."""
    return _Maker(jobs).made()


class _Maker:
    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs, self.lanes = jobs, jobs[0].machine.lanes
        self.m, self.wires = Module(), dict[str, Any]()
        for name in ("start", "busy", "load", "product", "write", "thresholds"):
            self.wires[name] = Signal(name=name)
        self.asked = Signal(range(max(2, len(jobs))), name="job")
        self.kept = Signal.like(self.asked, name="job_kept")
        self.job = Mux(self.wires["start"], self.asked, self.kept)
        self.depths = (
            max(job.window.map.count for job in jobs),
            max(_results(job) for job in jobs),
        )

    def pick(self, values: Sequence[int]) -> Any:
        """What belongs to the job at hand."""
        if len(set(values)) == 1:
            return Const(values[0])
        bits = reach_bits(min(values), max(values))
        low = min(values)
        shape = signed(bits) if low < 0 else bits
        return Array([Const(v, shape) for v in values])[self.job]

    def of(self, what: Callable[[Job], int]) -> Any:
        """A number of the job at hand."""
        return self.pick([what(job) for job in self.jobs])

    def made(self) -> SharedTop:
        m, w = self.m, self.wires
        with m.If(w["start"]):
            m.d.sync += self.kept.eq(self.asked)
        self._loops()
        inputs, given = self._inputs()
        sums = self._sums(inputs)
        results = self._results(self._words(sums))
        self._states()
        ports = {"start": w["start"], "job": self.asked, "busy": w["busy"], **given, **results}
        return SharedTop(m, ports, self.depths)

    def _loops(self) -> None:
        """Blocks of channels, in them pixels, taps, inputs; in these the channels of a block."""
        m, w, jobs = self.m, self.wires, self.jobs
        go, walked = w["load"], []
        extents = [
            ("chunk", [j.window.chunks for j in jobs]),
            ("kx", [j.window.kernel[1] for j in jobs]),
            ("ky", [j.window.kernel[0] for j in jobs]),
            ("ox", [j.window.out[1] for j in jobs]),
            ("oy", [j.window.out[0] for j in jobs]),
        ]
        for name, values in extents:
            loop = Loop(m, name, values, self.pick, go)
            walked.append(loop)
            go = go & loop.last
        self.walked = walked
        summed, pixels = Signal(), Signal()
        with m.If(w["load"]):
            m.d.sync += summed.eq(Cat(*(loop.last for loop in walked[:3])).all())
            m.d.sync += pixels.eq(Cat(*(loop.last for loop in walked)).all())
        self.block_end = Signal()
        self.block = Loop(m, "block", [len(j.sizes) for j in jobs], self.pick, self.block_end)
        size = Mux(self.block.last, self.of(lambda j: j.sizes[-1]), self.of(lambda j: j.sizes[0]))
        self.output = Signal(range(self.lanes), name="output")
        self.output_last = Signal()
        m.d.comb += self.output_last.eq(self.output == size - 1)
        with m.If(w["product"]):
            m.d.sync += self.output.eq(Mux(self.output_last, 0, self.output + 1))
        self.summed, self.pixels = summed, pixels

    def _inputs(self) -> tuple[tuple[Any, Any, Any], dict[str, Any]]:
        """The inputs of a step, which of them count, and how many do; the host's port to write."""
        m, w = self.m, self.wires
        memory = Memory(shape=self.lanes, depth=self.depths[0], init=[], attrs=style(True))
        m.submodules.inputs = memory
        write, read = memory.write_port(), memory.read_port()
        walk = _Walk(self)
        m.d.comb += [read.addr.eq(walk.address), read.en.eq(1)]
        word, valid = Signal(self.lanes), Signal(self.lanes)
        count = Signal(range(self.lanes + 1))
        rest = self.of(lambda j: (j.inputs - 1) % self.lanes + 1)
        some = Mux(self.walked[0].last, rest, self.lanes)
        counted = walk.inside | self.of(lambda j: int(j.zeros))
        lanes = Cat(*(some > lane for lane in range(self.lanes)))
        with m.If(w["load"]):
            m.d.sync += [
                word.eq(Mux(walk.inside, read.data, 0)),
                valid.eq(Mux(counted, lanes, 0)),
                count.eq(Mux(counted, some, 0)),
            ]
        ports = {"input_address": write.addr, "input_word": write.data, "input_write": write.en}
        return (word, valid, count), _ported(m, ports)

    def _sums(self, inputs: tuple[Any, Any, Any]) -> list[Any]:
        """A sum for each output channel of a block, one of which counts in each cycle."""
        m, (word, valid, count) = self.m, inputs
        weights = self._stream("weights", lambda j: j.weight_words(), self.wires["product"])
        product = Signal(signed(self.jobs[0].machine.accumulator))
        m.d.comb += product.eq((ones(~(word ^ weights) & valid) << 1) - count)
        sums = Array(
            Signal(signed(self.jobs[0].machine.accumulator), name=f"sum{i}")
            for i in range(self.lanes)
        )
        first = Signal(init=1)
        with m.If(self.wires["product"]):
            m.d.sync += sums[self.output].eq(Mux(first, 0, sums[self.output]) + product)
            with m.If(self.output_last):
                m.d.sync += first.eq(self.summed)
        return list(sums)

    def _stream(self, name: str, words: Callable[[Job], list[int]], go: Any) -> Any:
        """Words of a memory in their order; weights again for each pixel of a block."""
        m, held = self.m, [words(job) for job in self.jobs]
        begins = [sum(map(len, held[:i])) for i in range(len(held))]
        flat = [word for part in held for word in part] or [0]
        at, base = Signal(range(len(flat) + 1)), Signal(range(len(flat) + 1))
        ahead = Signal(range(len(flat) + 1))
        following = at + 1
        if name == "weights":
            again = self.summed & self.output_last & ~self.pixels
            following = Mux(again, base, at + 1)
        start = self.wires["start"]
        m.d.comb += ahead.eq(Mux(start, self.pick(begins), Mux(go, following, at)))
        m.d.sync += at.eq(ahead)
        with m.If(start | self.block_end):
            m.d.sync += base.eq(ahead)
        return table(m, name, flat, self.lanes, ahead, True)

    def _words(self, sums: list[Any]) -> Any:
        """The word of results at hand: codes of a head, or a part of the sums."""
        m, w, lanes = self.m, self.wires, self.lanes
        heads = max(len(job.steps) for job in self.jobs)
        word = self._stream("thresholds", lambda j: j.threshold_words(), w["thresholds"])
        size = Mux(self.block.last, self.of(lambda j: j.sizes[-1]), self.of(lambda j: j.sizes[0]))
        most = -(-lanes * THRESHOLD_BITS // lanes)
        self.part, self.part_last = Signal(range(most)), Signal()
        self.head, self.head_last = Signal(range(max(2, heads + 1))), Signal()
        words = (size * THRESHOLD_BITS + lanes - 1) // lanes
        sums_now = self.of(lambda j: len(j.steps)) == self.head
        many = Mux(w["write"] & ~sums_now, 1, words)
        m.d.comb += self.part_last.eq(self.part == many - 1)
        coded = self.of(lambda j: len(j.steps) - 1)
        written = self.of(lambda j: len(j.layer.levels) - 1)
        m.d.comb += self.head_last.eq(self.head == Mux(w["write"], written, coded))
        with m.If(w["write"] | w["thresholds"]):
            m.d.sync += self.part.eq(Mux(self.part_last, 0, self.part + 1))
            with m.If(self.part_last):
                m.d.sync += self.head.eq(Mux(self.head_last, 0, self.head + 1))
        bank = [Signal(lanes * THRESHOLD_BITS, name=f"bank{i}") for i in range(heads)]
        for i, one in enumerate(bank):
            with m.If(w["thresholds"] & (self.head == i)):
                m.d.sync += one.word_select(self.part, lanes).eq(word)
        wide = Cat(*(_extended(one) for one in sums)).word_select(self.part, lanes)
        found = Array([*(_codes(one, sums) for one in bank), wide])
        return Mux(sums_now, wide, found[self.head]) if heads else wide

    def _results(self, word: Any) -> dict[str, Any]:
        m, w = self.m, self.wires
        memory = Memory(shape=self.lanes, depth=self.depths[1], init=[], attrs=style(True))
        m.submodules.results = memory
        write, read = memory.write_port(), memory.read_port()
        at = Signal(range(self.depths[1] + 1))
        m.d.sync += at.eq(Mux(w["start"], 0, at + w["write"]))
        m.d.comb += [write.addr.eq(at), write.data.eq(word), write.en.eq(w["write"])]
        m.d.comb += read.en.eq(1)
        return _ported(m, {"result_address": read.addr}) | {"result_word": read.data}

    def _states(self) -> None:
        """Thresholds, then for each pixel inputs and products in turn, then results."""
        m, w = self.m, self.wires
        coded = self.of(lambda j: len(j.steps)) != 0
        begin = Mux(coded, 1, 2)
        state = Signal(3, name="state")
        for number, name in enumerate(("thresholds", "load", "product", "write"), 1):
            m.d.comb += w[name].eq(state == number)
        m.d.comb += w["busy"].eq(state != 0)
        done = self.part_last & self.head_last
        m.d.comb += self.block_end.eq(w["write"] & done & self.pixels)
        with m.Switch(state):
            with m.Case(0), m.If(w["start"]):
                m.d.sync += state.eq(begin)
            with m.Case(1), m.If(done):
                m.d.sync += state.eq(2)
            with m.Case(2):
                m.d.sync += state.eq(3)
            with m.Case(3), m.If(self.output_last):
                m.d.sync += state.eq(Mux(self.summed, 4, 2))
            with m.Case(4), m.If(done):
                over = Mux(self.block.last, 0, begin)
                m.d.sync += state.eq(Mux(self.pixels, over, 2))


class _Walk:
    """Row, column and address of the inputs to load next; a job begins at its first."""

    def __init__(self, maker: _Maker) -> None:
        self.maker, jobs = maker, [job.window for job in maker.jobs]
        tops, lefts = [w.pads[0][0] for w in jobs], [w.pads[1][0] for w in jobs]
        y = self._moving(
            [-t for t in tops], [(0, 0, w.dilations[0], 0, w.strides[0]) for w in jobs]
        )
        x = self._moving(
            [-e for e in lefts], [(0, w.dilations[1], 0, w.strides[1], 0) for w in jobs]
        )
        begins = [(-w.pads[0][0] * w.map.width - w.pads[1][0]) * w.chunks for w in jobs]
        moves = []
        for w in jobs:
            row, column = w.map.width * w.chunks, w.chunks
            (sy, sx), (dy, dx) = w.strides, w.dilations
            moves.append((1, dx * column, dy * row, sx * column, sy * row))
        at = self._moving(begins, moves)
        start = maker.wires["start"]
        self.address = Mux(start, maker.pick(begins), at)[: max(1, at.shape().width)]
        high, wide = (maker.pick([getattr(w.map, k) for w in jobs]) for k in ("height", "width"))
        self.inside = (y >= 0) & (y < high) & (x >= 0) & (x < wide)

    def _moving(self, begins: list[int], moves: Sequence[tuple[int, ...]]) -> Any:
        """A number that moves as each loop goes on, of the job at hand; back at its end."""
        maker = self.maker
        windows = [job.window for job in maker.jobs]
        sizes = [(w.chunks, *w.kernel[::-1], *w.out[::-1]) for w in windows]
        steps, backs = [], []
        for move, size in zip(moves, sizes, strict=True):
            back, found = 0, []
            for one, extent in zip(move, size, strict=True):
                found.append(one - back)
                back += one * (extent - 1)
            steps.append(found)
            backs.append(back)
        ends = [begin + back for begin, back in zip(begins, backs, strict=True)]
        value = Signal(signed(reach_bits(min(*begins, 0), max(*ends, 1))))
        distance: Any = maker.pick([-back for back in backs])
        for i in reversed(range(5)):
            mine = maker.pick([found[i] for found in steps])
            distance = Mux(maker.walked[i].last, distance, mine)
        with maker.m.If(maker.wires["start"]):
            maker.m.d.sync += value.eq(maker.pick(begins))
        with maker.m.Elif(maker.wires["load"]):
            maker.m.d.sync += value.eq(value + distance)
        return value


def _codes(bank: Any, sums: list[Any]) -> Any:
    """A bit a channel: whether its sum, or that negated, reaches its threshold."""
    found = []
    for i, sum_ in enumerate(sums):
        held = bank[i * THRESHOLD_BITS : (i + 1) * THRESHOLD_BITS]
        found.append(Mux(held[-1], -sum_, sum_) >= held[:-1].as_signed())
    return Cat(*found)


def _extended(sum_: Any) -> Any:
    """A sum in the bits in which sums leave."""
    wide = Signal(signed(THRESHOLD_BITS))
    return Cat(sum_, sum_[-1].replicate(len(wide)))[:THRESHOLD_BITS]


def _results(job: Job) -> int:
    """Words that a job writes."""
    lanes = job.machine.lanes
    words = [
        -(-size * (level or THRESHOLD_BITS) // lanes)
        for size in job.sizes
        for level in job.layer.levels
    ]
    return job.layer.vectors * sum(words)


def _ported(m: Module, wires: dict[str, Any]) -> dict[str, Any]:
    """Wires of the module itself for those of a memory that the host drives."""
    found = {}
    for name, wire in wires.items():
        found[name] = Signal(len(wire), name=name)
        m.d.comb += wire.eq(found[name])
    return found
