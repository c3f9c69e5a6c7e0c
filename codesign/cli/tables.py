"""Tables for the terminal."""

from collections.abc import Callable, Sequence
from typing import Any

from codesign.cli.output import console

Cell = Callable[[Any], str]


def show_table(
    title: str, columns: Sequence[tuple[str, Cell]], rows: Sequence[Any], left: int = 1
) -> None:
    """A table of `rows`, a column for each (heading, cell); columns without any entry are left out.

    The first `left` columns are aligned to the left, the others to the right.
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    kept: list[Cell] = []
    for i, (heading, cell) in enumerate(columns):
        if any(cell(row) for row in rows) or i == 0:
            table.add_column(heading, justify="left" if i < left else "right", overflow="fold")
            kept.append(cell)
    for row in rows:
        table.add_row(*(_escaped(cell(row)) for cell in kept))
    console().print(table)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def count(value: float | None) -> str:
    """1234567 as 1.23M; empty for None."""
    if value is None:
        return ""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def size(value: float | None) -> str:
    """Bytes as KiB or MiB; empty for None."""
    if value is None:
        return ""
    if value >= 1 << 20:
        return f"{value / (1 << 20):.4g} MiB"
    return f"{value / 1024:.4g} KiB" if value >= 1024 else f"{value:.0f} B"


def ms(value: float | None) -> str:
    """Milliseconds with as many digits as matter; empty for None."""
    if value is None:
        return ""
    return f"{value:.4f}" if value < 0.1 else f"{value:.3f}" if value < 10 else f"{value:.1f}"


def percent(value: float | None) -> str:
    """A share of 1 as per cent; empty for None."""
    return "" if value is None else f"{value * 100:.2f} %"


def decibel(value: float | None) -> str:
    """Decibels; empty for None, `exact` where nothing differs."""
    return "" if value is None else "exact" if value >= 200 else f"{value:.1f} dB"
