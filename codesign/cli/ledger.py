"""The ledger as a table, and the decisions that go with it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from codesign.cli.output import console, settings
from codesign.cli.tables import count, decibel, ms, percent, ratio, show_table, size

Row = Mapping[str, Any]
SHOWN = 12  # decisions that were not taken, without --verbose


def show_ledger(rows: Sequence[Row], title: str = "Ledger") -> None:
    """What each pass changed: size, operations, predicted and measured time, accuracy."""
    show_table(
        title,
        (
            ("pass", step),
            ("parameters", lambda r: count(r["parameters"])),
            ("stored", lambda r: size(r["stored_bytes"])),
            ("entropy", lambda r: size(r["entropy_bytes"])),
            ("MACs", lambda r: count(r["macs"])),
            ("bit ops", lambda r: count(r["bit_operations"])),
            ("predicted ms", lambda r: ms(r["estimated_ms"])),
            ("measured ms", lambda r: ms(r["measured_ms"])),
            ("speed-up", lambda r: ratio(r.get("speedup"))),
            ("energy uJ", lambda r: count(r["energy_uj"])),
            ("accuracy", lambda r: percent(r["accuracy"])),
            ("SNR", lambda r: decibel(r["snr_db"])),
            ("s", lambda r: f"{r['seconds']:.2f}" if r["step"] != "input" else ""),
        ),
        rows,
        spare=("entropy", "bit ops", "s", "MACs", "parameters"),
    )
    for line in legend(rows):
        console().print(line, markup=False)
    for row in rows:
        if row["remark"]:
            console().print(f"{row['step']}: {row['remark']}", markup=False)
    show_notes(rows)


def step(row: Row) -> str:
    """The pass of a row, and whether it was undone."""
    return f"{row['step']} (refused)" if row.get("refused") else str(row["step"])


def legend(rows: Sequence[Row]) -> Iterator[str]:
    """What the columns that are there were taken from."""
    if any(row["measured_ms"] is not None for row in rows):
        yield (
            "measured ms: the program after that pass, with kernels and layouts chosen for it; "
            "input: the model as it came"
        )
    if rows[-1:] and rows[-1].get("tuned"):
        yield (
            f"predicted ms: in the end {rows[-1]['tuned']} of {rows[-1]['layers']} layers with "
            "schedule and time of a tuning record, the others by the cost model"
        )
    scored = next((row for row in rows if row["samples"]), None)
    if scored is None:
        return
    count, total = scored["samples"], scored["samples_of"]
    which = f"all {total:,}" if count == total else f"the first {count:,} of {total:,}"
    data = f"{which} {scored['scored_on']} samples"
    if scored["accuracy"] is not None:
        yield f"accuracy: in the interpreter, on {data}"
    else:
        yield f"SNR: outputs against those of the model as it came, in the interpreter, on {data}"


def show_notes(rows: Sequence[Row]) -> None:
    """What passes left alone and why; with --verbose also what they did."""
    notes = [(row["step"], note) for row in rows for note in row["notes"]]
    left = [(step, note) for step, note in notes if not note["done"]]
    shown = notes if settings.verbose else left[:SHOWN]
    for step, note in shown:
        mark = "" if note["done"] else "not done: "
        console().print(f"  {step}: %{note['layer']}: {mark}{note['text']}", markup=False)
    if len(left) > len(shown) and not settings.verbose:
        console().print(f"  ... and {len(left) - SHOWN} more that were not done (-v shows all)")
