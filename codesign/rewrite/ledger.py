"""The ledger: what the program was worth before any pass and after each."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from codesign.rewrite.context import Note


@dataclass(frozen=True)
class Row:
    """The program after one pass. What is not known is None.

    `stored_bytes` are the constants in their encodings, `entropy_bytes` after an ideal entropy
    coder; `bit_operations` weigh each multiply-accumulate with both operands' widths; latencies are
    in ms, `energy_uj` in microjoule, `accuracy` a share of 1, `snr_db` the outputs' ratio to the
    difference from the first program's. Both are of the first `samples` of `samples_of` in the
    data called `scored_on` (validation, calibration). `seconds` is what the pass took, questions
    left aside. `refused` tells of a pass that was undone because it did not pay: the row is of the
    program without it, and nothing is noted. `speedup` is how many times faster the pass made the
    program, where that was asked for. Of `layers` estimated `tuned` have the time that a tuning
    record gives.
    """

    step: str
    parameters: int
    stored_bytes: int
    macs: int
    bit_operations: int
    entropy_bytes: int | None = None
    estimated_ms: float | None = None
    measured_ms: float | None = None
    energy_uj: float | None = None
    accuracy: float | None = None
    snr_db: float | None = None
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()
    remark: str = ""
    samples: int = 0
    samples_of: int = 0
    scored_on: str = ""
    refused: bool = False
    speedup: float | None = None
    tuned: int = 0
    layers: int = 0

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Ledger:
    """A row for the program as it came and one for each pass."""

    rows: Sequence[Row] = field(default=())

    def notes(self, layer: str) -> list[tuple[str, Note]]:
        """What passes noted about `layer`, with the pass that did."""
        return [(row.step, note) for row in self.rows for note in row.notes if note.layer == layer]

    def json(self) -> list[dict[str, Any]]:
        """As a list of JSON objects."""
        return [row.json() for row in self.rows]


def row_from_json(value: dict[str, Any]) -> Row:
    """Inverse of `Row.json`."""
    return Row(**{**value, "notes": tuple(Note(**note) for note in value["notes"])})


def ledger_from_json(values: Iterable[dict[str, Any]]) -> Ledger:
    """Inverse of `Ledger.json`."""
    return Ledger(tuple(row_from_json(value) for value in values))
