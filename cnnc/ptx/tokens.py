"""The words of a PTX text, without comments, each with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnnc.errors import ModelError

MAX_TEXT = 64 << 20
"""Longest text that is read, in characters."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f\v]+)|(?P<newline>\n)|(?P<comment>//[^\n]*|/\*(?s:.*?)\*/)"
    r"|(?P<number>0[fF][0-9a-fA-F]{8}(?![0-9a-fA-F])|0[dD][0-9a-fA-F]{16}(?![0-9a-fA-F])"
    r"|0[xX][0-9a-fA-F]+U?|\d+\.\d*(?:[eE][+-]?\d+)?|\d+U?)"
    r"|(?P<word>[A-Za-z_$%.][A-Za-z0-9_$.%]*(?:::[A-Za-z0-9_]+)*[A-Za-z0-9_$.]*)"
    r'|(?P<string>"[^"\n]*")|(?P<mark>[\[\]{}(),;:@!+\-<>=|])'
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: number, word, string, mark, or end."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[Token]:
    """All tokens, with one of kind ``end`` last.

    Raises:
        ModelError: the text is too long, or has a character that PTX does not; names the line.
    """
    if len(text) > MAX_TEXT:
        raise ModelError(f"the text has {len(text)} characters, more than {MAX_TEXT}", where="PTX")
    found: list[Token] = []
    line, position = 1, 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ModelError(f"unexpected character {text[position]!r}", where=f"PTX line {line}")
        kind, word = str(match.lastgroup), match.group()
        if kind not in ("space", "newline", "comment"):
            found.append(Token(kind, word, line))
        line += word.count("\n")
        position = match.end()
    found.append(Token("end", "", line))
    return found
