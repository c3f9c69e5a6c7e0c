"""Reading the text form of programs back (see `codesign.ir.text` for its shape)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from codesign.errors import InvalidModelError
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


class _Reader:
    """A cursor over tokens with the constants that the text names."""

    def __init__(self, text: str, constants: Mapping[str, Const]) -> None:
        self.tokens = tokens(text)
        self.position = 0
        self.constants = constants

    @property
    def here(self) -> Token:
        return self.tokens[self.position]

    def fail(self, expected: str) -> InvalidModelError:
        return InvalidModelError(
            f"line {self.here.line}: expected {expected}, found {self.here.text!r}"
        )

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

    def value(self) -> str:
        text = self.take("value", "a value such as %x")[1:]
        name: str = json.loads(text) if text.startswith('"') else text
        return name

    def string(self) -> str:
        text: str = json.loads(self.take("string", "a quoted string"))
        return text

    def literal(self) -> Any:
        token = self.here
        if self.accept("("):
            return tuple(self.many(self.literal, ")"))
        if token.kind == "string":
            return self.string()
        if token.kind == "digest":
            return self.digest()
        if token.kind == "number":
            self.position += 1
            return _number(token.text)
        if token.kind == "word" and token.text in _WORDS:
            self.position += 1
            return _WORDS[token.text]
        return self.inline()

    def digest(self) -> Const:
        name = self.take("digest", "a digest")[1:]
        if name not in self.constants:
            raise InvalidModelError(f"the text names constant @{name}, which is not at hand")
        return self.constants[name]

    def inline(self) -> Const:
        dtype = self.dtype(self.take("word", "a literal"))
        self.expect(":")
        if self.accept("["):
            return Const(self.many(self.literal, "]"), dtype.numpy)
        return Const(self.literal(), dtype.numpy)

    def dtype(self, text: str) -> DType:
        if text not in set(DType):
            raise InvalidModelError(f"line {self.here.line}: {text!r} is no element type")
        return DType(text)

    def tensor_type(self) -> TensorType:
        self.expect("tensor")
        self.expect("<")
        token = self.here
        self.position += 1
        if token.kind not in ("shape", "word"):
            raise self.fail("a shape such as 1x3xf32")
        *shape, dtype = token.text.split("x")
        encodings: list[Encoding] = []
        while self.accept(","):
            encodings.append(self.encoding())
        self.expect(">")
        return TensorType(tuple(map(int, shape)), self.dtype(dtype), tuple(encodings))

    def encoding(self) -> Encoding:
        kind = self.take("word", "an encoding")
        self.expect("<")
        return self.make(ENCODINGS, kind, "encoding", dict(self.many(self.field, ">")))

    def field(self) -> tuple[str, Any]:
        name = self.take("word", "a name")
        self.expect("=")
        return name, self.literal()

    def make(self, table: Mapping[str, type[Made]], kind: str, what: str, given: Any) -> Made:
        if kind not in table:
            raise InvalidModelError(f"line {self.here.line}: {kind!r} is no {what}")
        known = {f.name for f in fields(table[kind])}
        if unknown := set(given) - known:
            raise InvalidModelError(f"line {self.here.line}: {kind} has no {sorted(unknown)}")
        return table[kind](**given)

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
        inputs = tuple(self.many(self.operand, ")"))
        attributes = dict(self.many(self.field, "}")) if self.accept("{") else {}
        op = self.make(OPS, kind, "op", attributes)
        return Node(op, inputs, tuple(name for name, _ in results)), dict(results)

    def returned(self) -> tuple[str, str]:
        value = self.value()
        return value, self.string() if self.accept("as") else value

    def graph(self) -> Graph:
        self.expect("graph")
        name = self.string()
        self.expect("(")
        inputs = self.many(self.typed, ")")
        types, constants, nodes = dict(inputs), {}, []
        self.expect("{")
        while self.accept("const"):
            value, types_of = self.typed()
            self.expect("=")
            constants[value], types[value] = self.literal(), types_of
        while not self.accept("return"):
            node, made = self.node()
            nodes.append(node)
            types |= made
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

    def assignment(self) -> Assignment:
        kernel = self.take("word", "a kernel")
        self.expect("(")
        nodes = tuple(self.many(self.value, ")"))
        point = tuple(self.many(self.field, "}")) if self.accept("{") else ()
        return Assignment(kernel, nodes, point)

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


def _number(text: str) -> int | float:
    return float(text) if any(c in text for c in ".eEn") else int(text)


def parse_program(text: str, constants: Mapping[str, Const]) -> Program:
    """The verified program that `text` describes; `constants` by their printed digits.

    InvalidModelError says line and expectation at the first thing that cannot be read.
    """
    program = _Reader(text, constants).program()
    verify_program(program)
    return program


def parse_type(text: str, constants: Mapping[str, Const] | None = None) -> TensorType:
    """The type that `text` describes, checked."""
    found = _Reader(text, constants or {}).tensor_type()
    found.check()
    return found
