"""The report as one HTML file: markup, styles, scripts, libraries and data, with nothing to load from anywhere.

The browser is told so: the page's Content-Security-Policy allows exactly the scripts and styles that are in it, by
their hashes, and no request at all. A model's names are data: they reach the page as JSON, and scripts write them as
text.
"""

from __future__ import annotations

import base64
import hashlib
import html
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from string import Template

from cnnc.report.es_modules import join_modules

STYLES = ("theme", "shell", "controls", "graph", "plots", "table", "print")
"""Files of ``assets/css`` in the order in which they apply."""

LIBRARIES = ("d3", "dagre")
"""Folders of ``assets/vendor``, with ``NAME.min.js`` and its licence; the README there says where they come from."""


@dataclass(frozen=True, slots=True)
class _Element:
    """A script or style of the page, and the hash by which the policy allows it."""

    tag: str
    text: str

    @property
    def source(self) -> str:
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    def __str__(self) -> str:
        return f"<{self.tag}>{self.text}</{self.tag}>"


def render_page(data: str, title: str) -> str:
    """The whole page.

    Args:
        data: facts of the report as JSON text.
        title: shown in the browser's title bar.
    """
    assets = resources.files("cnnc.report") / "assets"
    styles = [_Element("style", _read(assets / "css" / f"{name}.css")) for name in STYLES]
    modules = {item.name: _read(item) for item in (assets / "js").iterdir() if item.name.endswith(".js")}
    scripts = [_Element("script", _library(assets / "vendor" / name, f"{name}.min.js")) for name in LIBRARIES]
    scripts.append(_Element("script", join_modules(modules, "main.js")))
    return Template(_read(assets / "page.html")).substitute(
        policy=_policy(styles, scripts),
        title=html.escape(title),
        styles="\n".join(map(str, styles)),
        data=escape_json(data),
        scripts="\n".join(map(str, scripts)),
    )


def escape_json(data: str) -> str:
    """JSON that may stand in a script element: no ``<`` can end the element or open a comment in it."""
    return data.replace("<", "\\u003c")


def _policy(styles: list[_Element], scripts: list[_Element]) -> str:
    """Nothing may be fetched; only these styles and scripts apply, and no attribute that holds code."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            "style-src " + " ".join(style.source for style in styles),
            "script-src " + " ".join(script.source for script in scripts),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _library(folder: Traversable, name: str) -> str:
    """A library with its licence in front, and without the comment that makes a debugger look for its source map."""
    text = _read(folder / name).partition("\n//# sourceMappingURL=")[0]
    return f"/*!\n{_read(folder / 'LICENSE')}*/\n{text}\n"


def _read(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")
