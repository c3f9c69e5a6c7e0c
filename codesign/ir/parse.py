"""Reading the text form of programs back (see `codesign.ir.text` for its shape)."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, TypeVar

from codesign.errors import InvalidModelError, VerificationError
from codesign.ir.attributes import check_attributes
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encoding import Encoding
from codesign.ir.encodings import ENCODINGS
from codesign.ir.graph import Graph, Node
from codesign.ir.lexer import Token, tokens
from codesign.ir.op import Op
from codesign.ir.ops import OPS
from codesign.ir.program import Assignment, Program, verify_program
from codesign.ir.types import TensorType

T = TypeVar("T")
Made = TypeVar("Made", Op, Encoding)
_WORDS = {"true": True, "false": False, "none": None}
_DEPTH = 20


class _Reader:
    """A cursor over tokens with the constants that the text names."""

    def __init__(self, text: str, constants: Mapping[str, Const]) -> None:
        self.tokens = tokens(text)
        self.position = 0
        self.constants = constants
        self.depth = 0

    @property
    def here(self) -> Token:
        return self.tokens[self.position]

    def fail(self, expected: str) -> InvalidModelError:
        line, found = self.here.line, self.here.text[:40]
        return InvalidModelError(f"line {line}: expected {expected}, found {found!r}")

    def error(self, message: str) -> InvalidModelError:
        line = self.tokens[max(self.position - 1, 0)].line  # what was just read is wrong
        return InvalidModelError(f"line {line}: {message}")

    def accept(self, text: str) -> bool:
        if self.here.text != text or self.here.kind == "string":
            return False
        self.position += 1
        return True

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.fail(repr(text))

    def take(self, kind: str, expected: str) -> str:
        if self.here.kind != kind:
            raise self.fail(expected)
        self.position += 1
        return self.tokens[self.position - 1].text

    def many(self, read: Callable[[], T], close: str) -> list[T]:
        found: list[T] = []
        while not self.accept(close):
            if found:
                self.expect(",")
            found.append(read())
        return found

    def unique(self, pairs: list[tuple[str, T]]) -> dict[str, T]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise self.error(f"{twice!r} is given twice")
        return found

    def value(self) -> str:
        text = self.take("value", "a value such as %x")[1:]
        return self.unquoted(text) if text.startswith('"') else text

    def string(self) -> str:
        return self.unquoted(self.take("string", "a quoted string"))

    def unquoted(self, text: str) -> str:
        with suppress(json.JSONDecodeError):
            name: str = json.loads(text)
            return name
        raise self.error(f"{text[:40]} is no JSON string")

    def name(self) -> str:
        return self.string() if self.here.kind == "string" else self.take("word", "a name")

    def literal(self) -> Any:
        token = self.here
        if self.accept("("):
            return self.items()
        if token.kind == "string":
            return self.string()
        if token.kind == "digest":
            return self.digest()
        if token.kind == "number":
            return self.number()
        if token.kind == "word" and token.text in _WORDS:
            self.position += 1
            return _WORDS[token.text]
        return self.inline()

    def items(self) -> tuple[Any, ...]:
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.error(f"tuples are nested more than {_DEPTH} deep")
        found = tuple(self.many(self.literal, ")"))
        self.depth -= 1
        return found

    def number(self) -> int | float:
        text = self.take("number", "a number")
        try:
            return float(text) if any(c in text for c in ".eEn") else int(text)
        except ValueError:  # Python reads integers of up to 4,300 digits
            raise self.error(f"{text[:40]}... is too long a number") from None

    def digest(self) -> Const:
        name = self.take("digest", "a digest")[1:]
        if name not in self.constants:
            raise self.error(f"the text names constant @{name}, which is not at hand")
        return self.constants[name]

    def constant(self) -> Const:
        return self.digest() if self.here.kind == "digest" else self.inline()

    def inline(self) -> Const:
        dtype = self.dtype(self.take("word", "a literal"))
        self.expect(":")
        content = self.many(self.scalar, "]") if self.accept("[") else self.scalar()
        with suppress(OverflowError, ValueError):
            return Const(content, dtype.numpy)
        raise self.error(f"{content!r:.40} does not fit {dtype}")

    def scalar(self) -> int | float | bool:
        for word in ("true", "false"):
            if self.accept(word):
                return word == "true"
        return self.number()

    def dtype(self, text: str) -> DType:
        if text not in set(DType):
            raise self.error(f"{text!r} is no element type")
        return DType(text)

    def tensor_type(self) -> TensorType:
        self.expect("tensor")
        self.expect("<")
        kind = "shape" if self.here.kind == "shape" else "word"
        text = self.take(kind, "a shape such as 1x3xf32")
        *extents, dtype = text.split("x") if kind == "shape" else [text]
        shape = tuple(self.extent(extent) for extent in extents)
        encodings: list[Encoding] = []
        while self.accept(","):
            encodings.append(self.encoding())
        self.expect(">")
        return TensorType(shape, self.dtype(dtype), tuple(encodings))

    def extent(self, text: str) -> int:
        if len(text) > 18:
            raise self.error(f"extent {text[:40]} is too large")
        return int(text)

    def encoding(self) -> Encoding:
        kind = self.take("word", "an encoding")
        self.expect("<")
        cls = self.known(ENCODINGS, kind, "encoding")
        names = iter([f.name for f in fields(cls)][: cls.positional])
        given = self.many(lambda: self.field(next(names, None)), ">")
        return self.make(cls, given)

    def field(self, positional: str | None = None) -> tuple[str, Any]:
        following = self.tokens[min(self.position + 1, len(self.tokens) - 1)]
        if positional and following.text != "=":
            return positional, self.literal()
        name = self.name()
        self.expect("=")
        return name, self.literal()

    def known(self, table: Mapping[str, type[Made]], kind: str, what: str) -> type[Made]:
        if kind not in table:
            near = ", ".join(get_close_matches(kind, table)) or ", ".join(sorted(table)[:12])
            raise self.error(f"{kind!r} is no {what}; there is {near}")
        return table[kind]

    def make(self, cls: type[Made], given: list[tuple[str, Any]]) -> Made:
        known = [f.name for f in fields(cls)]
        if unknown := [name for name, _ in given if name not in known]:
            raise self.error(f"{cls.kind} has no {unknown[0]!r}, only {', '.join(known)}")
        made = cls(**self.unique(given))
        try:
            check_attributes(made)
        except VerificationError as error:
            raise self.error(str(error)) from None
        return made

    def typed(self) -> tuple[str, TensorType]:
        name = self.value()
        self.expect(":")
        return name, self.tensor_type()

    def operand(self) -> str | None:
        return None if self.accept("none") else self.value()

    def node(self) -> tuple[Node, dict[str, TensorType]]:
        results = [self.typed()]
        while self.accept(","):
            results.append(self.typed())
        self.expect("=")
        kind = self.take("word", "an op")
        self.expect("(")
        cls = self.known(OPS, kind, "op")
        inputs = tuple(self.many(self.operand, ")"))
        op = self.make(cls, self.many(self.field, "}") if self.accept("{") else [])
        return Node(op, inputs, tuple(name for name, _ in results)), self.unique(results)

    def returned(self) -> tuple[str, str]:
        value = self.value()
        return value, self.string() if self.accept("as") else value

    def graph(self) -> Graph:
        self.expect("graph")
        name = self.string()
        self.expect("(")
        inputs = self.many(self.typed, ")")
        types, constants, nodes = self.unique(inputs), {}, []
        self.expect("{")
        while self.accept("const"):
            value, kind = self.typed()
            self.define(types, {value: kind})
            self.expect("=")
            constants[value] = self.constant()
        while not self.accept("return"):
            node, made = self.node()
            nodes.append(node)
            self.define(types, made)
        outputs = self.many(self.returned, "}")
        return Graph(
            name,
            tuple(value for value, _ in inputs),
            tuple(value for value, _ in outputs),
            tuple(public for _, public in outputs),
            tuple(nodes),
            types,
            constants,
        )

    def define(self, types: dict[str, TensorType], made: Mapping[str, TensorType]) -> None:
        if twice := types.keys() & made.keys():
            raise self.error(f"%{min(twice)} is defined twice")
        types.update(made)

    def assignment(self) -> Assignment:
        kernel = self.name()
        self.expect("(")
        nodes = tuple(self.many(self.value, ")"))
        point = self.many(self.field, "}") if self.accept("{") else []
        return Assignment(kernel, nodes, tuple(self.unique(point).items()))

    def program(self) -> Program:
        graph = self.graph()
        target, placement = "", []
        if self.accept("place"):
            target = self.string()
            self.expect("{")
            while not self.accept("}"):
                placement.append(self.assignment())
        if self.here.kind != "end":
            raise self.fail("the end")
        return Program(graph, target, tuple(placement))


def parse_program(text: str, constants: Mapping[str, Const]) -> Program:
    """The verified program that `text` describes; `constants` by their printed digits.

    InvalidModelError says line and expectation at the first thing that cannot be read.
    """
    program = _Reader(text, constants).program()
    verify_program(program)
    return program


def parse_type(text: str, constants: Mapping[str, Const] | None = None) -> TensorType:
    """The type that `text` describes, checked."""
    reader = _Reader(text, constants or {})
    found = reader.tensor_type()
    if reader.here.kind != "end":
        raise reader.fail("the end")
    found.check()
    return found
