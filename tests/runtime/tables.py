"""Resolvers for tests that never run a kernel."""

from __future__ import annotations

from typing import Any


def no_kernel(*args: Any) -> Any:
    """An address that is never called."""
    return 64


class NoPool:
    """A pool for executors that only plan."""

    max_threads = 1
