"""`name{option=value, other=value}`: the text that names a pass or a target with its options."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from codesign.errors import UnknownNameError, UsageError

Made = TypeVar("Made")
Option = str | int | float | bool | None | list[Any]


def split(text: str) -> list[str]:
    """Cut `a{x=1,y=2},b` at the commas outside braces."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += (letter in "{[(") - (letter in "}])")
        if letter == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    if depth:
        raise UsageError(f"braces do not match in {text!r}; expected name{{option=value,...}}")
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def parse(text: str) -> tuple[str, dict[str, Option]]:
    """`name{option=value}` to (name, options); values are numbers, true, false, none or words."""
    name, brace, rest = text.strip().partition("{")
    if not brace:
        return name.strip(), {}
    if not rest.endswith("}"):
        raise UsageError(f"{text!r} does not end in '}}'; expected name{{option=value,...}}")
    options: dict[str, Option] = {}
    for item in split(rest[:-1]):
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"{item!r} in {text!r} is no option=value")
        if key.strip() in options:
            raise UsageError(f"option {key.strip()} is given twice in {text!r}")
        options[key.strip()] = literal(value.strip())
    return name.strip(), options


def literal(text: str) -> Option:
    """A number, true, false, none, [a, b] or else the text itself."""
    words: dict[str, Option] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if text.startswith("[") and text.endswith("]"):
        return [literal(item) for item in split(text[1:-1])]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("\"'")


def build(cls: type[Made], what: str, name: str, options: Mapping[str, Option]) -> Made:
    """Make `cls` (a dataclass) from `options`, checking names and types of each."""
    known = {f.name: f for f in fields(cls) if f.init}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    given: dict[str, Any] = {}
    for key, value in options.items():
        key = key.replace("-", "_")
        if key not in known:
            raise UnknownNameError(f"option of {what} {name}", key, known)
        if key in given:
            raise UsageError(f"option {key} of {what} {name} is given twice")
        given[key] = convert(hints[key], value, f"option {key} of {what} {name}")
    for key, option in known.items():
        missing = option.default is MISSING and option.default_factory is MISSING
        if missing and key not in given:
            raise UsageError(f"{what} {name} needs option {key}")
    return cls(**given)


def convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `hint`, or UsageError saying what was expected."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in arguments:
            try:
                return convert(choice, value, where)
            except UsageError:
                continue
    elif origin is typing.Literal:
        if value in arguments:
            return value
    elif origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(convert(arguments[0], item, where) for item in items)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint is types.NoneType and value is None:
        return None
    elif (
        isinstance(hint, type)
        and isinstance(value, hint)
        and (hint is bool) == (isinstance(value, bool))
    ):
        return value
    elif hint is str and isinstance(value, int | float):
        return str(value)
    raise UsageError(f"{where} is {value!r}, expected {describe(hint)}")


def describe(hint: Any) -> str:
    """A type annotation in words for messages."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(a) for a in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments)
    if origin is tuple:
        return f"a list of {describe(arguments[0])}"
    return "none" if hint is types.NoneType else getattr(hint, "__name__", str(hint))


def show(name: str, thing: object) -> str:
    """The spec of a pass or target: its name and the options that differ from their defaults."""
    shown = []
    for f in fields(thing):  # type: ignore[arg-type]
        value = getattr(thing, f.name)
        if f.init and f.default is not MISSING and value != f.default:
            shown.append(f"{f.name}={_text(value)}")
    return f"{name}{{{','.join(shown)}}}" if shown else name


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(_text(item) for item in value)}]"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
