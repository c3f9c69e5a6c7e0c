"""Whether the attributes of ops and encodings are of the types that their classes declare."""

from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from codesign.errors import VerificationError
from codesign.ir.encoding import Encoding
from codesign.ir.op import Op


def check_attributes(thing: Op | Encoding) -> None:
    """Raise VerificationError at an attribute of another type than declared.

    The text form holds ints, floats, bools, strings, constants and tuples of those; lists and numpy
    numbers are none of them.
    """
    for field in fields(thing):
        value = getattr(thing, field.name)
        if not fits(value, field.type):
            name = getattr(field.type, "__name__", None) or str(field.type)
            raise VerificationError(
                f"{thing.kind} {field.name} is {value!r} ({type(value).__name__}), expected {name}"
            )


def fits(value: object, hint: Any) -> bool:
    """Whether `value` is a `hint`: a class, union, tuple or literal. An int passes for a float."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(value, option) for option in inner)
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in inner)
    if origin is tuple:
        return isinstance(value, tuple) and _items_fit(value, inner)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, NoneType if hint is None else hint)


def _items_fit(value: tuple[object, ...], inner: tuple[Any, ...]) -> bool:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return all(fits(item, inner[0]) for item in value)
    return len(value) == len(inner) and all(map(fits, value, inner))
