"""A schedule as the point of a placed layer, and back.

`unrolled="rows: r 3, c 2; columns: y 13"`, `held="m 64, y 13 | m 16"` (one part a memory level,
the outermost first), `orders="n m c | m x | "`; and `groups=16` if so many run as one.
"""

from codesign.cost.schedule import Schedule
from codesign.errors import RefusedError
from codesign.ir.program import Point

Pairs = tuple[tuple[str, int], ...]


def to_point(schedule: Schedule, groups: int = 1) -> Point:
    """`schedule` of a layer of which so many `groups` run as one, as a point."""
    spread = "; ".join(f"{axis}: {_show(pairs)}" for axis, pairs in schedule.unrolled)
    held = " | ".join(_show(pairs) for pairs in schedule.held)
    orders = " | ".join(" ".join(order) for order in schedule.orders)
    point: Point = (("unrolled", spread), ("held", held), ("orders", orders))
    return point if groups == 1 else (*point, ("groups", groups))


def groups_of(point: Point) -> int:
    """How many groups run as one by a point; RefusedError if it says no number."""
    given = dict(point).get("groups", 1)
    if not isinstance(given, int) or given < 1:
        raise RefusedError(f"groups={given!r} is no number of groups that run as one")
    return given


def from_point(point: Point) -> Schedule:
    """The schedule of a point; RefusedError if it is none."""
    given = {key: str(value) for key, value in point}
    try:
        return Schedule(
            tuple(_axis(part) for part in given["unrolled"].split(";")),
            tuple(_read(part) for part in given["held"].split("|")),
            tuple(tuple(part.split()) for part in given["orders"].split("|")),
        )
    except (KeyError, ValueError) as error:
        raise RefusedError(
            f"{dict(given)} is no mapping; expected unrolled, held and orders as in "
            f"`codesign show` of a placed program ({type(error).__name__}: {error})"
        ) from None


def _show(pairs: Pairs) -> str:
    return ", ".join(f"{loop} {extent}" for loop, extent in pairs if extent > 1)


def _axis(text: str) -> tuple[str, Pairs]:
    name, colon, pairs = text.partition(":")
    if not colon:
        raise ValueError(f"no colon in {text!r}")
    return name.strip(), _read(pairs)


def _read(text: str) -> Pairs:
    items = (item.split() for item in text.split(",") if text.strip())
    return tuple((loop, int(extent)) for loop, extent in items)
