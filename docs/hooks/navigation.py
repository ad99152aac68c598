"""Entries of the navigation that a hook fills in: ``Commands: commands/*`` becomes the pages that it made."""

from __future__ import annotations

from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

Entries = list[Any]
"""What stands below ``nav:`` in mkdocs.yml: paths, or a title with a path or with entries."""


def fill(config: MkDocsConfig, pattern: str, pages: Entries) -> None:
    """Replace the entry ``pattern`` of the navigation by ``pages``, in place, wherever it stands in the tree.

    Raises:
        PluginError: there is no such entry.
    """
    if not _fill(config.nav or [], pattern, pages):
        raise PluginError(f"mkdocs.yml: nav has no entry {pattern}")


def _fill(nav: Entries, pattern: str, pages: Entries) -> bool:
    for at, entry in enumerate(nav):
        if entry == pattern:
            nav[at : at + 1] = pages
            return True
        if not isinstance(entry, dict):
            continue
        for title, content in entry.items():
            if content == pattern:
                entry[title] = list(pages)
                return True
            if isinstance(content, list) and _fill(content, pattern, pages):
                return True
    return False
