"""What every cost keeps: finite numbers, none negative, and no less for more work."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.contract.rows import BrokenError
from codesign.mapping.kernel import Widths

ROUNDING = 1e-9  # relative
NUMBERS = ("macs", "latency_ms", "cycles", "utilization", "energy_uj")


@dataclass(frozen=True)
class Price:
    """What a placed program costs, changes of layouts aside: in a network neighbours share them."""

    latency: float
    energy: float | None

    @staticmethod
    def of(estimate: Estimate) -> "Price":
        """The sum over layers."""
        layers = tuple(layer for layer in estimate.layers if layer.op != "relayout")
        total = Estimate(layers)
        return Price(total.latency_ms, total.energy_uj)


def sound(cost: LayerCost) -> None:
    """BrokenError, naming the figure, unless all figures of `cost` are finite and not negative."""
    figures: dict[str, float | None] = {name: getattr(cost, name) for name in NUMBERS}
    figures |= {f"traffic of {level}": moved for level, moved in cost.traffic_bytes.items()}
    figures |= {f"energy of {part}": uj for part, uj in cost.energy_parts_uj.items()}
    for name, value in figures.items():
        if value is not None and not (isfinite(value) and value >= 0):
            raise BrokenError(f"{name} of {cost.op} %{cost.name} is {value:g}")


def no_less(more: Price, less: Price, change: str, minimized: Collection[str]) -> str:
    """BrokenError unless `more`, which is `less` with `change`, takes no less of what is minimized.

    What else it takes less of, in words.
    """
    remarks = []
    for name, unit in (("latency", "ms"), ("energy", "uJ")):
        large, small = getattr(more, name), getattr(less, name)
        if large is None or small is None or large >= small * (1 - ROUNDING):
            continue
        text = f"{change} takes {large:g} {unit} of {name}, without it {small:g}"
        if name in minimized:
            raise BrokenError(text)
        remarks.append(f"{text}; mappings are not chosen for {name}")
    return "; ".join(remarks)


def wider(found: Mapping[Widths, Price]) -> Iterator[tuple[Widths, Widths]]:
    """Pairs of widths of which the first has more bits of an operand, and no fewer of the other."""
    for few in found:
        for many in found:
            if many != few and many[0] >= few[0] and many[1] >= few[1]:
                yield many, few
