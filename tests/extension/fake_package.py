"""Installed packages that are made for a test: a folder with modules and a dist-info, found like any other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cnnc.extension_points import look_again


class Installed:
    """A folder on the import path that packages are written to; all is undone when the test ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, package: str, source: str, points: Mapping[str, Mapping[str, str]]) -> None:
        """A package of one module ``source`` that offers ``points``: group -> name -> attribute."""
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(source)
        info = self.folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [
            f"[{group}]\n" + "".join(f"{n} = {module}:{a}\n" for n, a in names.items())
            for group, names in points.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()
        sys.modules.pop(module, None)
        look_again()


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """A folder on the import path.

    ``monkeypatch`` would put back the path that it found: with several fixtures, one that another has changed.
    """
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        look_again()


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    """Packages for one test."""
    with importable(tmp_path):
        yield Installed(tmp_path)
