"""``pytest -m gpu``: every test here that runs kernels runs them on this machine's GPU instead of the emulator."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cnnc.errors import OptionError
from tests.cuda import devices

_FOLDER = Path(__file__).parent
_RUNNING = frozenset({"tests.cuda.emulated", "tests.cuda.devices"})
"""Modules whose functions run kernels."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that run kernels, and skip them with the reason where they are asked for and there is no GPU."""
    running = [item for item in items if _FOLDER in item.path.parents and _runs_kernels(_module(item), set())]
    for item in running:
        item.add_marker(pytest.mark.gpu)
    if not running or not _asks_for_gpu(config.getoption("markexpr")):
        return
    try:
        devices.use_gpu()
    except OptionError as error:
        for item in running:
            item.add_marker(pytest.mark.skip(reason=str(error).replace("\n", ";")))


def _asks_for_gpu(markers: str) -> bool:
    words = re.findall(r"\w+", markers)
    return any(word == "gpu" and before != "not" for before, word in zip(["", *words], words, strict=False))


def _module(item: pytest.Item) -> ModuleType:
    module: ModuleType = item.module  # type: ignore[attr-defined]
    return module


def _runs_kernels(module: ModuleType, seen: set[str]) -> bool:
    """Whether a test module uses ``_RUNNING``, itself or through other modules of this folder."""
    seen.add(module.__name__)
    sources = {str(getattr(value, "__module__", "")) for value in vars(module).values()}
    nearby = {name for name in sources - seen if name.startswith("tests.cuda.")}
    return bool(sources & _RUNNING) or any(_runs_kernels(sys.modules[name], seen) for name in sorted(nearby))
