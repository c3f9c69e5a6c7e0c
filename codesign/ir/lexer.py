"""Tokens of the text form."""

import re
from dataclasses import dataclass

from codesign.errors import InvalidModelError

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      |(?P<value>%(?:[A-Za-z0-9_./\-]+|"(?:[^"\\]|\\.)*"))
      |(?P<digest>@[0-9a-f]+)
      |(?P<string>"(?:[^"\\]|\\.)*")
      |(?P<shape>\d+x(?:\d+x)*[a-wyz][a-wyz0-9]*)
      |(?P<number>[-+]?(?:inf|nan|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w.]))
      |(?P<word>[A-Za-z_][\w\-]*)
      |(?P<mark>[(){}\[\]<>,:=])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True)
class Token:
    """One token: its kind (a group of the pattern), its text, and the line it stands on."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[Token]:
    """Cut `text` into tokens, an `end` token last; InvalidModelError at a foreign character."""
    found: list[Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidModelError(f"line {line}: unexpected {text[position : position + 12]!r}")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    return [*found, Token("end", "the end", line)]
