"""Numba's answers about types, remembered while one function is compiled.

A kernel adds and multiplies 64-bit integers a few thousand times, and Numba looks each time for what ``int64 + int64``
is among all that ``+`` may mean, arrays, strings and sets included: half of its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnnc.runtime.collection_pause import collection_paused


@contextmanager
def remembered_types(context: Any) -> Iterator[None]:
    """Let a Numba typing context resolve each call (function, types of its arguments) once until the block ends.

    No garbage is collected meanwhile: a tenth of the time went into looking at what the process had imported. To be
    entered under the lock of the compiler that the context belongs to.
    """
    resolve = context.resolve_function_type
    known: dict[Any, Any] = {}

    def remembered(function: Any, arguments: Any, named: Any) -> Any:
        # A string names an operation on constants, such as slices, which have no hash.
        if named or isinstance(function, str):
            return resolve(function, arguments, named)
        call = (function, arguments)
        if call not in known:
            known[call] = resolve(function, arguments, named)
        return known[call]

    context.resolve_function_type = remembered
    try:
        with collection_paused():
            yield
    finally:
        del context.resolve_function_type
