"""Points of a schedule space as JSON objects: `{"tile": 7, "order": ["oc", "ic"]}`.

The names keep their order, integers stay apart from floats, and lists are tuples.
"""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

from codesign.errors import UsageError
from codesign.ir.program import Literal, Point

DEPTH = 20
LARGEST = 2**63 - 1


def print_point(point: Point) -> str:
    """`point` as JSON; the same point always as the same text.

    UsageError if it holds anything but numbers, booleans, strings and tuples of those, an infinity
    or NaN among them, or names something twice.
    """
    if not isinstance(point, tuple) or not all(_is_pair(item) for item in point):
        kind = type(point).__name__
        raise UsageError(f"a {kind} is no point; expected a tuple of (name, value) pairs")
    named = {name: _plain(value) for name, value in point}
    if len(named) < len(point):
        raise UsageError(f"the point {point!r:.80} gives a value twice")
    return json.dumps(named, allow_nan=False)


def parse_point(text: str) -> Point:
    """The point that `print_point` wrote; UsageError if `text` is none."""
    return to_point(parse_json(text))


def to_point(value: object) -> Point:
    """A decoded JSON object as a point; UsageError if it is none."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{value!r:.80} is no point; expected an object such as {{'tile': 7}}")
    point = tuple((name, _literal(item)) for name, item in value.items())
    print_point(point)
    return point


def parse_json(text: str | bytes) -> Any:
    """Decoded JSON without infinities, NaN and repeated names; UsageError if it is none."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"no JSON: {error}") from None


def _is_pair(item: object) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _plain(value: object, depth: int = 0) -> object:
    if isinstance(value, tuple) and depth < DEPTH:
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, int) and abs(value) <= LARGEST:
        return value
    if isinstance(value, str) or (isinstance(value, float) and isfinite(value)):
        return value
    raise UsageError(
        f"a point cannot hold this {type(value).__name__}; expected finite floats, integers of 64 "
        f"bits, booleans, strings, or tuples of those at most {DEPTH} deep"
    )


def _literal(value: Any) -> Literal:
    return tuple(_literal(item) for item in value) if isinstance(value, list) else value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number here")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found
