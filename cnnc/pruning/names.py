"""Names with wildcards: ``*`` is any text, ``?`` any character. Brackets are themselves: names of nodes have them."""

from __future__ import annotations

import re


def fits(pattern: str, name: str) -> bool:
    """Whether the whole name fits the pattern."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), name, re.DOTALL) is not None
