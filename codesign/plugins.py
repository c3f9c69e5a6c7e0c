"""Passes and targets by name: tables of built-ins, and the entry points of other packages."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from codesign import spec
from codesign.errors import UnknownNameError, UsageError, foreign_code

GROUPS = {"pass": "codesign.passes", "target": "codesign.targets"}


@cache
def table(what: str) -> Mapping[str, str]:
    """`module:Class` by name for `what` ("pass" or "target"); built-ins win over entry points."""
    group = GROUPS[what]
    others = {entry.name: entry.value for entry in entry_points(group=group)}
    built_in: dict[str, str] = import_module(group).TABLE
    return {**others, **{n: f"{group}.{path}" for n, path in built_in.items()}}


def find(what: str, name: str) -> type[Any]:
    """The class called `name`; UnknownNameError with the nearest names otherwise.

    UsageError if the package that brings it cannot be imported.
    """
    known = table(what)
    if name not in known:
        raise UnknownNameError(what, name, known)
    module, _, attribute = known[name].partition(":")
    with foreign_code(
        lambda why: UsageError(
            f"{what} {name!r} cannot be loaded from {known[name]}: {why}; mend or remove the "
            "package that brings it"
        )
    ):
        cls: type[Any] = getattr(import_module(module), attribute)
        if not isinstance(cls, type) or not is_dataclass(cls):
            raise TypeError(f"{attribute} is no dataclass")
    return cls


def parse(what: str, text: str) -> tuple[str, dict[str, spec.Option]]:
    """Name and options of the pass or target that the spec `text` describes.

    The path of a machine's TOML file is short for target `machine{file=...}`.
    """
    path = text.strip()
    if what == "target" and path.endswith(".toml") and ("{" not in path or Path(path).exists()):
        return "machine", {"file": path}
    return spec.parse(text)


def make(what: str, text: str, options: Mapping[str, spec.Option] | None = None) -> Any:
    """The pass or target that `text` describes (see `parse`), with `options` beside its own."""
    name, inline = parse(what, text)
    return spec.build(find(what, name), what, name, {**inline, **(options or {})})
