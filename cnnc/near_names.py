"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near_names(wanted: str, known: Iterable[str], otherwise: str = "cnnc inspect lists the nodes") -> str:
    """A hint with the names that are most like ``wanted``, or ``otherwise`` where none is."""
    names = list(dict.fromkeys(known))
    inside = [name for name in names if wanted.casefold() in name.casefold()]
    close = list(dict.fromkeys((*inside[:3], *difflib.get_close_matches(wanted, names, 3, 0.5))))[:3]
    return f"did you mean {' or '.join(map(repr, close))}?" if close else otherwise
