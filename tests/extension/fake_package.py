"""Installed packages that are made for a test: a folder with modules and a dist-info, found like any other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cnnc.extension_points import look_again


class Installed:
    """A folder on the import path that packages are written to; all is undone when the test ends."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._patch = monkeypatch
        monkeypatch.syspath_prepend(str(folder))

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
        self._patch.delitem(sys.modules, module, raising=False)
        look_again()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Packages for one test."""
    with monkeypatch.context() as patch:
        yield Installed(tmp_path, patch)
    look_again()
