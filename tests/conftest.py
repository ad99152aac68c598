"""Options and defaults of the test suite."""

from __future__ import annotations

import os

import pytest

# Tests verify the graph after every pass; compilers in production only where a stage is reached.
os.environ.setdefault("CNNC_VERIFY", "2")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files with what passes do now")
