"""Small patterns over a graph: what a value is computed from.

    Apply("mul", Any("x"), Apply("sigmoid", Any("x")))

matches x * sigmoid(x) and sigmoid(x) * x. `match` returns what the names stand for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import isclose

import numpy as np

from codesign.ir.graph import Graph

Bound = dict[str, str]
COMMUTATIVE = frozenset({"add", "mul", "max", "min"})


@dataclass(frozen=True)
class Any:
    """Any value; the same one wherever the name occurs."""

    name: str


@dataclass(frozen=True)
class Constant:
    """Any constant; with `rank`, one of that many axes."""

    name: str
    rank: int | None = None


@dataclass(frozen=True)
class Number:
    """A constant whose elements all equal `value` (to 1e-4), or, without it, any single number."""

    value: float | None = None
    name: str = ""


@dataclass(frozen=True, init=False)
class Apply:
    """An op of `kind` applied to operands that match; of commutative ones in either order."""

    kind: str
    operands: tuple["Pattern", ...]
    name: str

    def __init__(self, kind: str, *operands: "Pattern", name: str = "") -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "operands", operands)
        object.__setattr__(self, "name", name)


Pattern = Any | Constant | Number | Apply


def number(graph: Graph, value: str | None) -> float | None:
    """The number that a constant consists of, None if it is none."""
    const = None if value is None else graph.constants.get(value)
    if const is None or const.array.size == 0 or const.array.dtype.kind not in "fiu":
        return None
    first = const.array.reshape(-1)[0]
    return float(first) if (const.array == first).all() else None


def match(graph: Graph, value: str, pattern: Pattern) -> Bound | None:
    """What the names of `pattern` stand for if it matches `value`; None if it does not."""
    return next(_matches(graph, value, pattern, {}), None)


def _matches(graph: Graph, value: str, pattern: Pattern, bound: Bound) -> Iterator[Bound]:
    if isinstance(pattern, Apply):
        yield from _applications(graph, value, pattern, bound)
    elif isinstance(pattern, Any):
        yield from _bind(bound, pattern.name, value)
    elif isinstance(pattern, Constant):
        const = graph.constants.get(value)
        if const is not None and pattern.rank in (None, const.array.ndim):
            yield from _bind(bound, pattern.name, value)
    elif _is_number(graph, value, pattern):
        yield from _bind(bound, pattern.name, value)


def _is_number(graph: Graph, value: str, pattern: Number) -> bool:
    found = number(graph, value)
    if found is None or np.isnan(found):
        return False
    if pattern.value is None:
        return graph.constants[value].array.size == 1
    return isclose(found, pattern.value, rel_tol=1e-4, abs_tol=1e-12)


def _applications(graph: Graph, value: str, pattern: Apply, bound: Bound) -> Iterator[Bound]:
    node = graph.producers.get(value)
    if node is None or node.kind != pattern.kind or len(node.outputs) > 1:
        return
    if len(node.operands) != len(pattern.operands):
        return
    orders = permutations(node.operands) if pattern.kind in COMMUTATIVE else [node.operands]
    for order in orders:
        for found in _all(graph, tuple(order), pattern.operands, bound):
            yield from _bind(found, pattern.name, value)


def _all(
    graph: Graph, values: tuple[str, ...], patterns: tuple[Pattern, ...], bound: Bound
) -> Iterator[Bound]:
    if not values:
        yield bound
        return
    for found in _matches(graph, values[0], patterns[0], bound):
        yield from _all(graph, values[1:], patterns[1:], found)


def _bind(bound: Bound, name: str, value: str) -> Iterator[Bound]:
    if not name:
        yield bound
    elif bound.get(name, value) == value:
        yield {**bound, name: value}
