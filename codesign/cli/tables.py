"""Tables for the terminal."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from codesign.cli.output import console

if TYPE_CHECKING:
    from rich.table import Table

Cell = Callable[[Any], str]
Column = tuple[str, Cell]


def show_table(
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Any],
    left: int = 1,
    spare: Sequence[str] = (),
) -> None:
    """A table of `rows`, a column for each (heading, cell); columns without any entry are left out.

    The first `left` columns are aligned to the left, the others to the right. Where the terminal is
    too narrow, headings are stacked, then the columns named in `spare` go, the first of them first.
    The first column never wraps.
    """
    columns = [c for i, c in enumerate(columns) if i == 0 or any(c[1](row) for row in rows)]
    out = console()
    for shown, stacked in _choices(columns, spare):
        table = _table(shown, rows, left, stacked)
        if table.__rich_measure__(out, out.options.update(width=10_000)).maximum <= out.width:
            break
    if title:
        out.print(title, style="italic", markup=False)
    out.print(table)


def _choices(columns: list[Column], spare: Sequence[str]) -> Iterator[tuple[list[Column], bool]]:
    """Ever narrower choices of columns, and whether their headings are stacked."""
    yield columns, False
    yield columns, True
    for heading in spare:
        columns = [column for column in columns if column[0] != heading]
        yield columns, True


def _table(columns: Sequence[Column], rows: Sequence[Any], left: int, stacked: bool) -> "Table":
    from rich import box
    from rich.table import Table

    between = (0, 0, 0, 1) if stacked else (0, 1)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=between,
    )
    for i, (heading, _) in enumerate(columns):
        table.add_column(
            heading.replace(" ", "\n") if stacked else heading,
            justify="left" if i < left else "right",
            overflow="fold",
            no_wrap=i == 0,
        )
    for row in rows:
        table.add_row(*(_escaped(cell(row)) for _, cell in columns))
    return table


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


def rate(operations: float, milliseconds: float | None) -> str:
    """Operations in a time as GFLOP/s; empty where no time is known."""
    return count(operations / milliseconds * 1e-6) if milliseconds else ""


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


def ratio(value: float | None) -> str:
    """1.234 as 1.23x; empty for None."""
    return "" if value is None else f"{value:.2f}x"


def decibel(value: float | None) -> str:
    """Decibels; empty for None, `exact` where nothing differs."""
    return "" if value is None else "exact" if value >= 200 else f"{value:.1f} dB"
