"""Estimates of one model over a range of a target's options, and which of them are worth having.

A sweep is `array=8x8..32x32,dataflow=ws|os`: options of the target, each with values between bars
or a range that doubles every number. What is finished is kept in a file, a line each.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from math import isfinite, prod
from pathlib import Path
from typing import Any

from codesign import plugins, spec
from codesign.errors import (
    CodesignError,
    GoalNotMetError,
    RefusedError,
    UnknownNameError,
    UnsupportedModelError,
    UsageError,
)
from codesign.points import Swept, keep, known
from codesign.progress import Progress

MOST = 1000
NUMBER = re.compile(r"[0-9]+")
LONGEST = 18  # digits of a number in a range
REFUSALS = (RefusedError, UnsupportedModelError, GoalNotMetError)  # by the target, of the model
Options = Mapping[str, spec.Option]
Estimator = Callable[[Any, Progress], Any]


def points(target: str, text: str, options: Options | None = None) -> list[str]:
    """The specs of a sweep's targets: those of `text`, over `target` with `options` beside its own.

    UsageError if it is none, RefusedError if there are over `MOST`.
    """
    name, inline = plugins.parse("target", target)
    given = {_plain(key): value for key, value in {**inline, **(options or {})}.items()}
    axes = _axes(name, text, given)
    count = prod(map(len, axes.values()))
    if count > MOST:
        sizes = " x ".join(str(len(values)) for values in axes.values())
        raise RefusedError(
            f"--sweep asks for {sizes} = {count} targets, and {MOST} is the most; narrow a range"
        )
    picked = product(*axes.values())
    return [_spec(name, {**given, **dict(zip(axes, one, strict=True))}) for one in picked]


def _axes(name: str, text: str, given: Options) -> dict[str, list[str]]:
    """Values of each option that `text` names; each an option of target `name`, and named once."""
    options = [field.name for field in fields(plugins.find("target", name)) if field.init]
    axes: dict[str, list[str]] = {}
    for item in spec.split(text):
        key, equals, values = item.partition("=")
        key = _plain(key)
        if not equals or not values.strip():
            raise UsageError(f"--sweep has {item!r}, expected option=a..b or option=a|b")
        if key not in options:
            raise UnknownNameError(f"option of target {name}", key, options)
        if key in axes or key in given:
            also = "--sweep twice" if key in axes else "--sweep, and for the target itself"
            raise UsageError(f"option {key} is given in {also}; leave one out")
        axes[key] = _values(values.strip(), key)
    if not axes:
        raise UsageError('--sweep is empty, expected as in "array=8x8..32x32,glb=64KiB..256KiB"')
    return axes


def _plain(key: str) -> str:
    return key.strip().replace("-", "_")


def _spec(name: str, options: Options) -> str:
    """The text of a target; UsageError if it would not be read as it is meant."""
    text = f"{name}{{{','.join(f'{key}={value}' for key, value in options.items())}}}"
    try:
        _, found = spec.parse(text)
    except UsageError:
        found = {}
    wrong = [key for key, value in options.items() if str(found.get(key)) != str(_read(value))]
    if wrong:
        raise UsageError(
            f"--sweep cannot write target {text} down: {wrong[0]} has letters that mean something "
            "there; rename the file"
        )
    return text


def _read(value: spec.Option) -> spec.Option:
    """What a value is as an option."""
    return spec.literal(value) if isinstance(value, str) else value


def _values(text: str, key: str) -> list[str]:
    """`a|b|c`, of which each may be `a..b` with every number doubled from one to the next."""
    found: list[str] = []
    for item in text.split("|"):
        found += _range(item.strip(), f"--sweep {key}={text}")
    for value in found:
        if not value or found.count(value) > 1:
            what = "a value is empty" if not value else f"{value!r} is there twice"
            raise UsageError(f"--sweep {key}={text}: {what}; leave one out")
    return found


def _range(text: str, where: str) -> list[str]:
    first, dots, last = text.partition("..")
    if not dots or last.startswith("/"):  # ../ is a folder
        return [text]
    found = [first]
    same = NUMBER.sub("#", first) == NUMBER.sub("#", last)
    limits = [int(number[:LONGEST]) for number in NUMBER.findall(last)]
    while found[-1] != last:
        numbers = [int(number[:LONGEST]) for number in NUMBER.findall(found[-1])]
        if (
            not same
            or not any(numbers)
            or any(2 * n > most for n, most in zip(numbers, limits, strict=True))
        ):
            raise UsageError(
                f"{where}: {last!r} is not reached from {first!r} by doubling its "
                f"numbers; after {found[-1]!r} comes more"
            )
        doubled = iter(numbers)
        found.append(NUMBER.sub(lambda _, d=doubled: str(2 * next(d)), found[-1]))  # type: ignore[misc]
    return found


def made(specs: Sequence[str]) -> dict[str, Any]:
    """The targets of a sweep by their specs, all of them; UsageError if two of them are the same.

    Whatever is wrong with one of them is told before anything is estimated.
    """
    found: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for text in specs:
        found[text] = target = plugins.make("target", text)
        shown = spec.show(target.name, target)
        if shown in seen:
            raise UsageError(f"{seen[shown]} and {text} are the same target; leave one out")
        seen[shown] = text
    return found


def swept(
    targets: Mapping[str, Any],
    identity: Callable[[Any], str],
    estimate: Estimator,
    records: Path | None,
    progress: Progress,
) -> list[Swept]:
    """All points, those of `records` without estimating again; every new one is kept there at once.

    `identity` tells apart all that the estimate of a target depends on: points of another one do
    not count.
    """
    before = known(records) if records else {}
    found = []
    for number, (text, target) in enumerate(targets.items()):
        which = identity(target)
        if which in before:
            found.append(replace(before[which], target=text))
            continue
        one = _estimated(text, target, estimate, _part(progress, number, len(targets), text))
        if records:
            keep(records, which, one)
        found.append(one)
    return pareto(found)


def _part(progress: Progress, number: int, count: int, text: str) -> Progress:
    """What a point reports of its own work, as part of the whole."""

    def report(message: str, done: float) -> None:
        more = f": {message}" if message else ""
        progress(f"point {number + 1} of {count}: {text}{more}", (number + done) / count)

    report("", 0.0)
    return report


def _estimated(text: str, target: Any, estimate: Estimator, progress: Progress) -> Swept:
    try:
        total = estimate(target, progress)
    except REFUSALS as error:
        return Swept(text, refused=str(error))
    cycles = sum(layer.cycles for layer in total.layers)
    if not all(map(isfinite, (total.latency_ms, total.energy_uj or 0.0, cycles))):
        raise CodesignError(f"the estimate for {text} is no finite number, so it is worth nothing")
    return Swept(text, total.latency_ms, total.energy_uj, cycles)


def pareto(found: Sequence[Swept]) -> list[Swept]:
    """The points, marked `best` where none is at least as good in both latency and energy."""

    def figures(one: Swept) -> tuple[float, float]:
        return one.latency_ms, one.energy_uj or 0.0

    def beaten(one: Swept) -> bool:
        mine = figures(one)
        others = (figures(other) for other in found if not other.refused)
        return any(all(a <= b for a, b in zip(o, mine, strict=True)) and o != mine for o in others)

    return [Swept(**{**x.__dict__, "best": not x.refused and not beaten(x)}) for x in found]
