"""The decorator of what Numba compiles here. Machine code is cached beside the sources, as Numba does.

Numba looks at a function's own file only to see whether its machine code is stale. These functions call each other and
read constants over files, so the name that they are cached under has a hash of all of them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = Path(__file__).resolve().parents[1]


@functools.cache
def _digest() -> str:
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def compiled(function: Function) -> Function:
    """The function as machine code, without the interpreter's lock."""
    function.__qualname__ = f"{function.__qualname__}-{_digest()}"
    try:
        return njit(cache=True, nogil=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # there is no folder that Numba may write to
        return njit(nogil=True)(function)  # type: ignore[no-any-return]
