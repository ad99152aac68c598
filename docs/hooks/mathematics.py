"""Mathematics: TeX between dollar signs becomes MathML when the site is built, and a page needs no script for it."""

from __future__ import annotations

import html as html_text
import re

from latex2mathml.converter import convert
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.pages import Page

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<block>.*?)\\\])</(?P=tag)>', re.DOTALL
)

log = get_plugin_logger(__name__)


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Replace what the Markdown extension arithmatex marked as formulae."""

    def formula(match: re.Match[str]) -> str:
        block = match["block"] is not None
        tex = html_text.unescape(match["block"] if block else match["inline"]).strip()
        mathml: str = convert(tex, display="block" if block else "inline")
        if "<mi>&</mi>" in mathml or "<mi>\\" in mathml or "<mtext>\\" in mathml:
            log.warning(f"{page.file.src_uri}: the renderer does not know all of {tex!r}")
        return f'<div class="formula">{mathml}</div>' if block else mathml

    return _FORMULA.sub(formula, html)
