"""The multiplications of one tile, all elements and all their iterations at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.machine.machine import OPERANDS, Operand
from codesign.targets.spatial.simulate.events import Events
from codesign.targets.spatial.simulate.gather import Gather, gather
from codesign.targets.spatial.simulate.plan import Plan, Range
from codesign.targets.spatial.simulate.window import Window, region

Values = NDArray[Any]
Sums = NDArray[np.int64]
Parts = Mapping[str, Range]
LARGE = 1 << 22  # numbers in an array that is worked on at a time
ALONE = 1 << 18  # multiplications that libraries do on one thread
TOGETHER = 1 << 24  # multiplications from which on several threads are worth waiting for
ROWS = 128


@dataclass(frozen=True)
class Roles:
    """The loops that move outputs: with `both` operands, `left` or `right`; `inner` ones do not."""

    both: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]
    inner: tuple[str, ...]

    @staticmethod
    def of(plan: Plan) -> "Roles":
        """The roles of the loops of a problem."""
        moves = plan.problem.moves
        out = [x for x in plan.loops if moves("output", x)]
        left = tuple(x for x in out if moves("input", x) and not moves("weight", x))
        both = tuple(x for x in out if moves("input", x) and moves("weight", x))
        right = tuple(x for x in out if not moves("input", x))
        return Roles(both, left, right, tuple(x for x in plan.loops if x not in out))


@dataclass(frozen=True, eq=False)
class Block:
    """Iterations `parts` of a tile, relative to it, and how its operands are come by."""

    parts: Parts
    left: Gather
    right: Gather
    places: tuple[Values, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    groups: tuple[int, int, int]

    def read(self, sums: Sums) -> Sums:
        """The block's part of a tile's sums, as [both, right, left]."""
        back = np.argsort(self.order)
        found = sums[self.where].reshape([self.shape[n] for n in self.order])
        return np.array(found.transpose(back).reshape(self.groups))

    def write(self, sums: Sums, found: Sums) -> None:
        """Put `found` [both, right, left] into a tile's sums."""
        sums[self.where] = self._laid(found)

    def add(self, sums: Sums, found: Sums) -> None:
        """Add `found` [both, right, left] to a tile's sums."""
        sums[self.where] += self._laid(found)

    @cached_property
    def where(self) -> tuple[Any, ...]:
        """The block's outputs in the tile's sums."""
        return region(self.places)

    def _laid(self, found: Sums) -> Sums:
        laid = found.reshape(self.shape).transpose(self.order)
        return laid.reshape([len(one) for one in self.places])


@dataclass
class Blocks:
    """Cuts tiles into blocks of a size that arrays may have; tables are kept by shape."""

    plan: Plan
    events: Events
    known: dict[Any, list[list[Block]]] = field(default_factory=dict)
    merged: bool = False

    @cached_property
    def roles(self) -> Roles:
        """The roles of the problem's loops."""
        return Roles.of(self.plan)

    def of(
        self, windows: Mapping[Operand, Sequence[Window]], extents: Mapping[str, int]
    ) -> list[list[Block]]:
        """Blocks of a tile: the outer list has one entry for each time that sums are sent."""
        key = tuple(w.shape for o in OPERANDS for w in windows[o]), tuple(extents.values())
        if key not in self.known:
            self.known[key] = [
                [self._block(windows, {**rounds, **cut}) for cut in self._cuts(extents, rounds)]
                for rounds in self._rounds(extents)
            ]
        return self.known[key]

    def _rounds(self, extents: Mapping[str, int]) -> Iterator[Parts]:
        """Ranges of the loops that add, by when sums leave the elements."""
        plan, inner = self.plan, self.roles.inner
        whole = {x: (0, extents[x]) for x in inner}
        level = next(n for n in plan.holders("output") if n > plan.shared)
        if plan.along(level) == plan.along(plan.shared):
            yield whole  # one element at the tile's own memory
            return
        around = [d for d in plan.around("output", level) if d[0] >= plan.shared and d[1] in inner]
        if self.merged or not around:
            yield whole
            return
        steps: list[list[tuple[str, int, int]]] = []
        for number, loop in around:
            width = plan.together[number + 1][loop]
            outer = min(plan.together[number][loop], extents[loop])
            steps.append([(loop, start, width) for start in range(0, outer, width)])
        for picked in product(*steps):
            found = dict(whole)
            for loop, start, width in picked:
                low, high = found[loop]
                found[loop] = low + start, min(low + start + width, high)
            if all(low < high for low, high in found.values()):
                yield found

    def _cuts(self, extents: Mapping[str, int], rounds: Parts) -> Iterator[Parts]:
        """Ranges of the other loops, so that arrays are not too large."""
        roles = self.roles
        depth = prod(high - low for low, high in rounds.values())
        both, left, right = (
            prod(extents[x] for x in some) for some in (roles.both, roles.left, roles.right)
        )
        size = both * max(depth * left, depth * right, left * right)
        outer = [x for x in self.plan.loops if x not in rounds]
        pieces, whole = -(-size // LARGE), {x: [(0, extents[x])] for x in outer}
        for loop in sorted(outer, key=lambda x: -extents[x]):
            width = self.plan.together[self.plan.array][loop]
            if pieces > 1 and extents[loop] > width:
                many = min(pieces, -(-extents[loop] // width))
                step = -(-extents[loop] // many // width) * width
                whole[loop] = [
                    (at, min(at + step, extents[loop])) for at in range(0, extents[loop], step)
                ]
                pieces = -(-pieces // many)
        for picked in product(*whole.values()):
            yield dict(zip(whole, picked, strict=True))

    def _block(self, windows: Mapping[Operand, Sequence[Window]], parts: Parts) -> Block:
        roles = self.roles
        left, right = (gather(windows[o], self._own(o), parts) for o in OPERANDS[:2])
        outer = (roles.both, roles.right, roles.left)
        loops = tuple(x for group in outer for x in group)
        wanted = [x for w in windows["output"] for x in w.loops]
        cuts = [tuple(slice(*parts[x]) for x in w.loops) for w in windows["output"]]
        places = tuple(
            w.position[cut].reshape(-1) for w, cut in zip(windows["output"], cuts, strict=True)
        )
        groups = [prod(parts[x][1] - parts[x][0] for x in g) for g in outer]
        return Block(
            parts,
            left,
            right,
            places,
            tuple(loops.index(x) for x in wanted),
            tuple(parts[x][1] - parts[x][0] for x in loops),
            (groups[0], groups[1], groups[2]),
        )

    def _own(self, operand: Operand) -> list[int]:
        """The levels inside a tile that hold an operand."""
        plan = self.plan
        return [n for n in plan.holders(operand) if plan.shared < n < len(plan.levels)]


def arranged(
    values: Values, loops: Sequence[str], groups: Sequence[Sequence[str]], parts: Parts
) -> Values:
    """`values` [loops] with a dimension for each of `groups` of loops."""
    wanted = [x for group in groups for x in group]
    order = [loops.index(x) for x in wanted if x in loops]
    shape = [parts[x][1] - parts[x][0] if x in loops else 1 for x in wanted]
    full = [parts[x][1] - parts[x][0] for x in wanted]
    found = values.transpose(order).reshape(shape)
    if shape != full:
        found = np.broadcast_to(found, full)
    return found.reshape([prod(parts[x][1] - parts[x][0] for x in group) for group in groups])


def multiplied(left: Values, right: Values) -> Sums:
    """left [g, m, c] times right [g, c, n], exact integers -> [g, m, n].

    In pieces that one thread computes: threads would wait for each other longer than these take.
    """
    (groups, m, c), n = left.shape, right.shape[2]
    if m * c * n <= ALONE or m * c * n > TOGETHER:
        return (left @ right).astype(np.int64)
    found = np.empty((groups, m, n), np.int64)
    rows = min(m, ROWS)
    columns = max(8, ALONE // (rows * c))
    for top in range(0, m, rows):
        for start in range(0, n, columns):
            part = np.s_[:, top : top + rows, start : start + columns]
            found[part] = left[:, top : top + rows] @ right[:, :, start : start + columns]
    return found
