"""The built site works without a network: a page that would load something from elsewhere is a warning."""

from __future__ import annotations

import re

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.pages import Page

_LOADED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="((?:https?:)?//[^"]+)|<link\b[^>]*\bhref="((?:https?:)?//[^"]+)'
)

log = get_plugin_logger(__name__)


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Look at what a page loads; links that a reader follows are free."""
    for found in _LOADED.finditer(output):
        log.warning(f"{page.file.src_uri} would load {found[1] or found[2]}")
    return output
