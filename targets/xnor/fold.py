"""Folding: how many rows and columns of each layer's matrix run at once.

A design is as slow as its slowest engine, so all layers get the cheapest folding that keeps to one
number of cycles, and that number is the least for which all of it fits the device (FINN, 2017,
section 4.4.2: rate balancing; here it is a search over all foldings that divide, with the memory
of the weights in blocks or LUTs). What is cheapest depends on which resource is scarce: several
exchange rates between LUTs and blocks are tried.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf

from codesign.targets.xnor.area import Area, area
from codesign.targets.xnor.device import RESOURCES, Device
from codesign.targets.xnor.engine import Style, interval
from codesign.targets.xnor.layer import Fold, Layer

STYLES: tuple[Style, ...] = ("distributed", "block")
RATES = tuple(i / 8 for i in range(9))  # of a device's LUTs against its blocks of RAM
WIDEST = 1 << 15  # weights a cycle of one engine


@dataclass(frozen=True)
class Option:
    """A folding of a layer: cycles an image of its slowest engine, and what its engines take."""

    fold: Fold
    cycles: int
    area: Area


def options(layer: Layer) -> tuple[Option, ...]:
    """Every folding that divides, none that another beats in cycles, LUTs and blocks."""
    return _options(replace(layer, name=""))


@lru_cache(maxsize=512)
def _options(layer: Layer) -> tuple[Option, ...]:
    found = []
    for pe in divisors(layer.rows):
        for simd in divisors(layer.columns):
            if pe * simd <= WIDEST or pe == simd == 1:
                found += [option(layer, Fold(pe, simd, style)) for style in STYLES]
    return tuple(_frontier(found))


def option(layer: Layer, fold: Fold) -> Option:
    """What a folding of a layer takes: its matrix unit, and the sliding window in front.

    Its cycles are also those of pools behind it, which have its lanes.
    """
    engines = [layer.mvtu(fold)]
    window = layer.windowed(fold.simd)
    both = [*engines, window] if window is not None else engines
    taken = Area()
    for engine in both:
        taken += area(engine)
    slowest = max(interval(engine) for engine in both)
    return Option(fold, max(slowest, -(-layer.behind // fold.pe)), taken)


def _frontier(found: Sequence[Option]) -> Iterator[Option]:
    """Those that no other beats in everything."""
    kept: list[Option] = []
    for one in sorted(found, key=lambda o: (o.cycles, o.area.luts, o.area.bram18, o.area.dsp)):
        if not any(_beats(other.area, one.area) for other in kept):
            kept.append(one)
            yield one


def _beats(some: Area, other: Area) -> bool:
    return all(getattr(some, r) <= getattr(other, r) for r in ("luts", "bram18", "dsp", "lutram"))


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


@dataclass(frozen=True)
class Unfit:
    """What a design takes of a resource that has no more than `room`."""

    resource: str
    taken: int
    room: int

    @property
    def over(self) -> int:
        """By how much it does not fit."""
        return self.taken - self.room


def unfit(taken: Area, device: Device) -> list[Unfit]:
    """The resources of which there is not enough, the worst first."""
    found = [Unfit(r, getattr(taken, r), device.room(r)) for r in RESOURCES]
    return sorted((u for u in found if u.over > 0), key=lambda u: -u.taken / max(1, u.room))


Whole = Callable[[Mapping[str, Fold]], tuple[int, Area]]


def search(
    layers: Sequence[Layer], device: Device, whole: Whole, goal: float = 0.0
) -> Mapping[str, Fold] | list[Unfit]:
    """The folding with the fewest cycles an image that fits, or the smallest within `goal` cycles.

    `whole` gives cycles and area of the whole design with a folding. If none fits, of what the
    smallest takes too much.
    """
    every = sorted({o.cycles for layer in layers for o in options(layer)})
    most = max((min(o.cycles for o in options(layer)) for layer in layers), default=0)
    least = max((c for c in every if c <= goal), default=0)
    bounds = [c for c in every if c >= max(most, least)] or every[-1:]
    low, high = 0, len(bounds) - 1
    best = _fitting(layers, device, whole, bounds[high])
    if isinstance(best, list):
        return best
    while low < high:
        middle = (low + high) // 2
        found = _fitting(layers, device, whole, bounds[middle])
        if isinstance(found, list):
            low = middle + 1
        else:
            best, high = found, middle
    return best


def _fitting(
    layers: Sequence[Layer], device: Device, whole: Whole, cycles: int
) -> Mapping[str, Fold] | list[Unfit]:
    """A folding within `cycles` that fits the device: the one that leaves most of it."""
    least, lacks, leanest = inf, list[Unfit](), dict[str, Fold]()
    tried = set()
    for rate in RATES:
        folds = {layer.name: _least(layer, device, rate, cycles) for layer in layers}
        key = tuple(folds.values())
        if key in tried:
            continue
        tried.add(key)
        _, taken = whole(folds)
        lack = unfit(taken, device)
        if not lack and (all_ := sum(shares(taken, device))) < least:
            least, leanest = all_, folds
        if not lacks or (lack and lack[0].taken / max(1, lack[0].room) < _worst(lacks)):
            lacks = lack
    return leanest if least < inf else lacks


def _worst(lacks: list[Unfit]) -> float:
    return lacks[0].taken / max(1, lacks[0].room)


def fullness(taken: Area, device: Device) -> float:
    """The largest share that is taken of a resource."""
    return max(shares(taken, device))


def shares(taken: Area, device: Device) -> list[float]:
    """The share that is taken of each resource."""
    return [getattr(taken, r) / max(1, device.room(r)) for r in RESOURCES]


def _least(layer: Layer, device: Device, rate: float, cycles: int) -> Fold:
    """The cheapest folding within `cycles` at an exchange rate between LUTs and blocks."""

    def price(one: Option) -> float:
        luts, blocks, dsp = (
            float(getattr(one.area, r)) / max(1, device.room(r)) for r in ("luts", "bram18", "dsp")
        )
        return rate * luts + (1 - rate) * blocks + dsp + 1e-6 * luts

    within = [o for o in options(layer) if o.cycles <= cycles]
    return min(within or options(layer)[:1], key=price).fold
