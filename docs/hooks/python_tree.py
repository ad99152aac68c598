"""The packages where they import from, for readers of source that do not import: ``passes`` as ``cnnc/passes``.

mkdocstrings reads docstrings without executing anything, so it needs files at the place of their import name.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("passes", "frontends", "runtime")
"""Packages of ``cnnc`` that lie beside it."""

_OTHER = shutil.ignore_patterns("__pycache__")


def on_startup(command: str, dirty: bool) -> None:
    """Make the tree anew: names that are gone must not be documented.

    It is made before plugins are configured: mkdocstrings leaves out search paths that do not exist then.
    """
    tree = ROOT / "build" / "python"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "cnnc", tree / "cnnc", ignore=_OTHER)
    for package in OUTSIDE:
        shutil.copytree(ROOT / package, tree / "cnnc" / package, ignore=_OTHER)
