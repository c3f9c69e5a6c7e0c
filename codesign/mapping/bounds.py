"""What no mapping can beat that has a given first tile and a given way to unroll the loops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from codesign.cost.candidates import Amounts, Numbers
from codesign.cost.evaluate import busy, evaluate
from codesign.cost.operands import Densities
from codesign.cost.schedule import levels_of, places
from codesign.machine.machine import OPERANDS, Machine
from codesign.mapping.aims import Keys, Mark, before, best_first, in_use, transfers
from codesign.mapping.relax import relaxed
from codesign.mapping.rows import Rows, every, fitting
from codesign.mapping.space import MOST, Space, TooManyError
from codesign.mapping.tiles import Cuts


@dataclass(frozen=True)
class Pairs:
    """`count` pairs of a first tile and an unrolling, with one order of the first tiles.

    `kinds[loop]` are the numbers between which the cuts of each pair are.
    """

    order: tuple[str, ...]
    kinds: Mapping[str, tuple[Numbers, Numbers]]
    count: int

    def pieces(self, most: int) -> Iterator["Pairs"]:
        """These pairs in parts that have about `most` combinations of cuts at most."""
        sizes = np.prod([high - low for low, high in self.kinds.values()], axis=0, dtype=float)
        if self.count < 1 or np.sum(sizes) <= most:
            yield self
            return
        half = self.count // 2
        parts = [(slice(0, half), {}), (slice(half, None), {})] if half else self._halves()
        for some, cut in parts:
            kinds = {x: cut.get(x, (a[some], b[some])) for x, (a, b) in self.kinds.items()}
            yield from Pairs(self.order, kinds, len(sizes[some])).pieces(most)

    def _halves(self) -> list[tuple[slice, dict[str, tuple[Numbers, Numbers]]]]:
        """The only pair cut in two at the loop with the most cuts."""
        loop = max(self.kinds, key=lambda x: int(self.kinds[x][1][0] - self.kinds[x][0][0]))
        low, high = self.kinds[loop]
        middle = (low + high) // 2
        return [(slice(None), {loop: (low, middle)}), (slice(None), {loop: (middle, high)})]


@dataclass(frozen=True)
class Tiles:
    """First tiles by number, with an order: cycles, pJ and `bits` exchanged of the outer memory."""

    rows: Rows
    which: Numbers
    order: Numbers
    cycles: Amounts
    energy: Amounts
    bits: Amounts


@dataclass(frozen=True)
class Ways:
    """Unrollings: cycles of computing and elements in use."""

    rows: Rows
    cycles: Amounts
    elements: Amounts


@dataclass(frozen=True)
class Bounds:
    """The two tables of a space, and what follows from a pair for each aim."""

    space: Space
    aims: tuple[str, ...]
    orders: Sequence[tuple[str, ...]]
    tiles: Tiles
    ways: Ways

    @staticmethod
    def of(space: Space, densities: Densities, aims: tuple[str, ...]) -> "Bounds":
        """The tables of `space`; TooManyError if there are too many tiles or unrollings."""
        found = space.orders(0)
        tiles, ways = _tiles(space, densities, found, aims), _ways(space, densities)
        return Bounds(space, aims, found, tiles, ways)

    def keys(self, cycles: Amounts, energy: Amounts, bits: Amounts, elements: Amounts) -> Keys:
        """[aims, *] from what tiles and unrollings are known to take at least."""
        idle = self.space.machine.idle / self.space.machine.clock * 1e9
        total = energy + cycles * idle
        name = self.space.machine.memories[0].name
        known = {"latency": cycles, "energy": total, "edp": cycles * total, name: bits}
        known["elements"] = -elements
        return np.array([np.broadcast_to(known.get(a, 0.0), cycles.shape) for a in self.aims])

    def chunks(self, size: int) -> Iterator[Numbers]:
        """Numbers of tiles, those with the lowest bounds first."""
        if not len(self.ways.cycles) or not len(self.tiles.cycles):
            return
        tiles = self.tiles
        cycles = np.maximum(tiles.cycles, self.ways.cycles.min())
        top = np.full(cycles.shape, self.ways.elements.max())
        ranked = best_first(self.keys(cycles, tiles.energy, tiles.bits, top))
        for start in range(0, len(ranked), size):
            yield ranked[start : start + size]

    def least(self, chunk: Numbers) -> Keys:
        """The bound of the first tile of a chunk."""
        tiles, first = self.tiles, chunk[:1]
        cycles = np.maximum(tiles.cycles[first], self.ways.cycles.min())
        top = np.full(cycles.shape, self.ways.elements.max())
        found: Keys = self.keys(cycles, tiles.energy[first], tiles.bits[first], top)[:, 0]
        return found

    def pairs(self, chunk: Numbers, mark: Mark | None, most: int) -> Iterator[Pairs]:
        """Pairs of the tiles of `chunk` with all unrollings, those with the lowest bounds first.

        Only those with a bound below `mark`, if there is one.
        """
        tiles, ways = self.tiles, self.ways
        one = np.repeat(chunk, len(ways.cycles))
        other = np.tile(np.arange(len(ways.cycles)), len(chunk))
        kinds = self._kinds(tiles.which[one], other)
        good = np.ones(len(one), np.bool_)
        for low, high in kinds.values():
            good &= high > low
        one, other = one[good], other[good]
        cycles = np.maximum(tiles.cycles[one], ways.cycles[other])
        bound = self.keys(cycles, tiles.energy[one], tiles.bits[one], ways.elements[other])
        ranked = best_first(bound)
        if mark is not None:
            ranked = ranked[before(bound[:, ranked], mark)]
        for number, order in enumerate(self.orders):
            mine = ranked[tiles.order[one[ranked]] == number]
            for start in range(0, len(mine), most):
                some = mine[start : start + most]
                yield Pairs(order, self._kinds(tiles.which[one[some]], other[some]), len(some))

    def _kinds(self, tile: Numbers, way: Numbers) -> dict[str, tuple[Numbers, Numbers]]:
        found = {}
        for loop, parts in self.space.parts.items():
            at = self.ways.rows.kind[loop][way], self.tiles.rows.kind[loop][tile]
            found[loop] = parts.start[at], parts.stop[at]
        return found


def _tiles(
    space: Space, densities: Densities, found: Sequence[tuple[str, ...]], aims: Sequence[str]
) -> Tiles:
    machine = relaxed(space.machine)
    rows, levels = Rows(space.problem, machine), len(levels_of(machine))
    for loop in sorted(space.parts, key=lambda x: len(space.parts[x].tiles)):
        tiles = space.parts[loop].tiles
        ones = np.ones((len(tiles), len(machine.axes)), np.int64)
        if rows.count * len(tiles) > MOST:
            raise TooManyError
        rows = every(rows, Cuts(loop, ones, tiles[:, None]))
        rows = fitting(rows, space.room, space.bits, levels)
    costs, bits, outer = [], [], machine.memories[0].name
    floor = _floor(space, densities)
    for order in found:
        candidates = rows.candidates([order, ()])
        costs.append(evaluate(candidates, space.widths, densities))
        exchanged = transfers(candidates, space.widths, outer) if outer in aims else None
        bits.append(0.0 * candidates.ones if exchanged is None else exchanged)
    energy = [c.energy[outer] + floor for c in costs]
    flows = [_flow(c.flows, c.waiting) for c in costs]
    return Tiles(
        rows,
        np.tile(np.arange(rows.count), len(found)),
        np.repeat(np.arange(len(found)), rows.count),
        np.concatenate(flows),
        np.concatenate(energy),
        np.concatenate(bits),
    )


def _flow(flows: Mapping[str, Amounts], waiting: Amounts) -> Amounts:
    """Cycles that the outer memory takes at least."""
    found: Amounts = np.max([waiting, *flows.values()], axis=0)
    return found


def _floor(space: Space, densities: Densities) -> float:
    """pJ that multiplications take, and memories that each element has of its own for them."""
    machine, macs = space.machine, space.problem.macs
    path, everywhere = machine.datapath, places(machine)
    useful = densities.useful(path.spares)
    total = macs * path.picojoules(space.widths.input, space.widths.weight, useful)
    least = {**space.bits, "output": min(space.widths.partial, space.widths.result)}
    for operand in OPERANDS:
        memory = next(m for level in reversed(space.levels) for m in level if operand in m.holds)
        if memory not in space.levels[0] and memory.along == everywhere:
            needed = densities.useful(o for o in path.spares if o != operand)
            each = memory.write if operand == "output" else memory.read
            total += macs * needed * each * least[operand] / memory.width
    return total


def _ways(space: Space, densities: Densities) -> Ways:
    """Unrollings that fit the axes; zeros that are skipped as if no element waited for others."""
    machine = _bare(space.machine)
    rows = Rows(space.problem, machine)
    for loop in sorted(space.parts, key=lambda x: len(space.parts[x].ways)):
        ways = space.parts[loop].ways
        if rows.count * len(ways) > MOST:
            raise TooManyError
        rows = every(rows, Cuts(loop, ways, np.ones((len(ways), 0), np.int64)))
        rows = fitting(rows, space.room, space.bits, 1)
    candidates = rows.candidates([()])
    slow = machine.datapath.cycles(space.widths.input, space.widths.weight)
    least = slow * densities.useful(machine.datapath.skip)
    return Ways(rows, busy(candidates) * least, in_use(candidates))


def _bare(machine: Machine) -> Machine:
    """`machine` with its outermost memories alone."""
    (first, *_) = levels_of(machine)
    assert set(OPERANDS) <= {o for memory in first for o in memory.holds}
    return replace(machine, memories=first)
