"""Passes and targets in words, from their docstrings and fields."""

import inspect
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from codesign import spec


def summary(cls: type[Any]) -> str:
    """The first paragraph of the docstring on one line."""
    return " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())


def options(cls: type[Any]) -> list[dict[str, Any]]:
    """Name, expected type in words and default of each option; `default` is absent if required.

    `unset` tells in words what the default of None stands for: the field's metadata of that name.
    """
    hints = get_type_hints(cls)
    found = []
    for field in fields(cls):
        if not field.init:
            continue
        entry = {"name": field.name, "expects": spec.describe(hints[field.name])}
        if field.default is not MISSING:
            entry["default"] = field.default
        if "unset" in field.metadata:
            entry["unset"] = field.metadata["unset"]
        found.append(entry)
    return found


def describe(name: str, cls: type[Any]) -> dict[str, Any]:
    """Name, full docstring and options."""
    return {"name": name, "description": inspect.getdoc(cls) or "", "options": options(cls)}


def text(entry: dict[str, Any]) -> str:
    """`describe`'s answer for the terminal."""
    lines = [entry["name"], "", entry["description"]]
    if entry["options"]:
        lines += ["", "options:"]
    for option in entry["options"]:
        usual = option.get("unset", option.get("default"))
        default = f" = {usual}" if "default" in option else " (required)"
        lines.append(f"  {option['name']}{default}: {option['expects']}")
    return "\n".join(lines)
