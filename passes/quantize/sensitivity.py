"""The table of what each layer loses and costs at each pair of widths."""

from dataclasses import asdict, dataclass
from typing import Any

from codesign.passes.quantize.choice import decibels
from codesign.passes.quantize.plan import Plan
from codesign.passes.quantize.probes import Errors


@dataclass(frozen=True)
class Row:
    """One layer at one pair of widths, the rest in float: the outputs' `snr_db`, and its costs."""

    layer: str
    op: str
    weight_bits: int
    activation_bits: int
    snr_db: float
    bytes: int
    latency_ms: float
    energy_uj: float | None


@dataclass(frozen=True)
class Table:
    """A row for each layer and pair of widths, in order."""

    rows: tuple[Row, ...] = ()

    def json(self) -> list[dict[str, Any]]:
        """As a list of JSON objects."""
        return [asdict(row) for row in self.rows]


def table(plan: Plan, errors: Errors) -> Table:
    """The rows of `plan`."""
    return Table(
        tuple(
            Row(
                node.name,
                node.kind,
                pair[0],
                pair[1],
                decibels(errors.alone(node.name, plan.root(node), pair)),
                price.bytes,
                price.latency_ms,
                price.energy_uj,
            )
            for node in plan.layers
            for pair, price in plan.offers[node.name].items()
        )
    )
