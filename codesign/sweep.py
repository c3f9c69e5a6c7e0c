"""Estimates of one model over a range of a target's options, and which of them are worth having.

A sweep is `array=8x8..32x32,dataflow=ws|os`: options of the target, each with values between bars
or a range that doubles every number. What is finished is kept in a file, a line each.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from codesign import plugins, spec
from codesign.errors import CodesignError, DataError, RefusedError, UnknownNameError, UsageError
from codesign.progress import Progress

MOST = 1000
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Swept:
    """One point: the target's spec and its totals, or why it was refused."""

    target: str
    latency_ms: float = 0.0
    energy_uj: float | None = None
    cycles: float = 0.0
    refused: str = ""
    best: bool = False

    def json(self) -> dict[str, Any]:
        """As a JSON object."""
        return dict(self.__dict__)


def points(target: str, text: str) -> list[str]:
    """The specs of a sweep's targets; UsageError if it is none, RefusedError if over `MOST`."""
    name, inline = spec.parse(target)
    axes = []
    for item in spec.split(text):
        key, equals, values = item.partition("=")
        if not equals or not values:
            raise UsageError(f"--sweep has {item!r}, expected option=a..b or option=a|b")
        axes.append([(key.strip(), value) for value in _values(values.strip(), key.strip())])
    if not axes:
        raise UsageError('--sweep is empty, expected as in "array=8x8..32x32,glb=64KiB..256KiB"')
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MOST:
        sizes = " x ".join(str(len(axis)) for axis in axes)
        raise RefusedError(
            f"--sweep asks for {sizes} = {count} targets, and {MOST} is the most; narrow a range"
        )
    return [_spec(name, {**inline, **dict(picked)}) for picked in product(*axes)]


def _spec(name: str, options: Mapping[str, Any]) -> str:
    return f"{name}{{{','.join(f'{key}={value}' for key, value in options.items())}}}"


def _values(text: str, key: str) -> list[str]:
    """`a|b|c`, or `a..b` with every number doubled from one to the next."""
    first, dots, last = text.partition("..")
    if not dots:
        return [value.strip() for value in text.split("|")]
    found = [first]
    while found[-1] != last:
        numbers = [int(number) for number in NUMBER.findall(found[-1])]
        limits = [int(number) for number in NUMBER.findall(last)]
        same = NUMBER.sub("#", first) == NUMBER.sub("#", last)
        if (
            not same
            or not numbers
            or any(2 * n > most for n, most in zip(numbers, limits, strict=True))
        ):
            raise UsageError(
                f"--sweep {key}={text}: {last!r} is not reached from {first!r} by doubling its "
                f"numbers; after {found[-1]!r} comes more"
            )
        doubled = iter(numbers)
        found.append(NUMBER.sub(lambda _, d=doubled: str(2 * next(d)), found[-1]))  # type: ignore[misc]
    return found


Estimator = Callable[[Any], Any]


def swept(
    targets: Sequence[str],
    identity: str,
    estimate: Estimator,
    records: Path | None,
    progress: Progress,
) -> list[Swept]:
    """All points, those of `records` without estimating again; every new one is kept there at once.

    `identity` tells models and passes apart: points of another one do not count.
    """
    known = dict(_known(records, identity)) if records else {}
    found = []
    for number, target in enumerate(targets):
        progress(target, number / len(targets))
        one = known.get(target) or _estimated(target, estimate)
        if records and target not in known:
            _keep(records, identity, one)
        found.append(one)
    return pareto(found)


def _estimated(target: str, estimate: Estimator) -> Swept:
    try:
        total = estimate(plugins.make("target", target))
    except (UsageError, UnknownNameError):
        raise
    except CodesignError as error:
        return Swept(target, refused=str(error))
    cycles = sum(layer.cycles for layer in total.layers)
    return Swept(target, total.latency_ms, total.energy_uj, cycles)


def pareto(found: Sequence[Swept]) -> list[Swept]:
    """The points, marked `best` where none is at least as good in both latency and energy."""

    def figures(one: Swept) -> tuple[float, float]:
        return one.latency_ms, one.energy_uj or 0.0

    def beaten(one: Swept) -> bool:
        mine = figures(one)
        others = (figures(other) for other in found if not other.refused)
        return any(all(a <= b for a, b in zip(o, mine, strict=True)) and o != mine for o in others)

    return [Swept(**{**x.__dict__, "best": not x.refused and not beaten(x)}) for x in found]


def _known(records: Path, identity: str) -> Iterator[tuple[str, Swept]]:
    """Points of earlier runs; a line that was cut off by a killed run is passed over."""
    if not records.exists():
        return
    lines = records.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line) if line else None
            one = Swept(**entry["point"]) if entry and entry["of"] == identity else None
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) - 1:
                return
            raise DataError(
                f"line {number + 1} of {records} is no point of a sweep: {error}; give another file"
            ) from None
        if one is not None:
            yield one.target, one


def _keep(records: Path, identity: str, one: Swept) -> None:
    """Add a point, whole and on disk; what a killed run left of a line goes first."""
    text = json.dumps({"of": identity, "point": one.json()})
    with records.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(f"{text}\n".encode())
        file.flush()
        os.fsync(file.fileno())
