"""No garbage collection while a model is loaded or planned.

Both make many small objects and no cycles, and each full collection looks at all that the process has imported, 4 ms
with NumPy alone: two of them were a quarter of the time to load a small model.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep Python from collecting cycles until the block ends; whoever found it enabled enables it again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
