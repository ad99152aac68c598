"""Options and defaults of the test suite."""

from __future__ import annotations

import gc
import os

import pytest

# Tests verify the graph after every pass; compilers in production only where a stage is reached.
os.environ.setdefault("CNNC_VERIFY", "2")
# Tests run in parallel already. Within one process kernels share what Numba made of them.
os.environ.setdefault("CNNC_COMPILE_JOBS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files with what passes do now")


def pytest_collection_finish() -> None:
    """Modules and tests stay: no garbage collection looks at them again."""
    gc.collect()
    gc.freeze()
