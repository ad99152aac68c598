"""Docstrings that describe several arguments in one entry, ``threads, device: ...``: the reference lists each alone."""

from __future__ import annotations

import re
from typing import Any

import griffe

_JOINT = re.compile(r"^( +)(\w+(?:,\s+\w+)+): (.*(?:\n\1 +\S.*)*)$", re.MULTILINE)


class JointArguments(griffe.Extension):
    """Gives every name of a joint entry the entry's text."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a function or class before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = _JOINT.sub(_apart, obj.docstring.value)


def _apart(entry: re.Match[str]) -> str:
    indent, names, text = entry.groups()
    return "\n".join(f"{indent}{name}: {text}" for name in re.split(r",\s+", names))
