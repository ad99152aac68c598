"""The packages where they import from, for readers of source that do not import: ``passes`` as ``cnnc/passes``.

mkdocstrings reads docstrings without executing anything, so it needs files at the place of their import name. Folders X
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("passes", "frontends", "runtime")
"""Packages of ``cnnc`` that lie beside it."""

_OTHER = shutil.ignore_patterns("__pycache__")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the tree anew: names that are gone must not be documented."""
    tree = ROOT / "build" / "python"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "cnnc", tree / "cnnc", ignore=_OTHER)
    for package in OUTSIDE:
        shutil.copytree(ROOT / package, tree / "cnnc" / package, ignore=_OTHER)
    return config
