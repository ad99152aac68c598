"""What pages say of passes comes from the code.

``<!-- pipeline -->`` becomes the table of the pipeline, ``<!-- pass fold-batch-norm -->`` the docstring of that pass.
"""

from __future__ import annotations

import inspect
import re
import sys

from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.pages import Page

from cnnc.passes import ALL_PASSES, PIPELINE

_MARK = re.compile(r"^<!-- (pipeline|pass (?P<name>[\w-]+)) -->$", re.MULTILINE)

log = get_plugin_logger(__name__)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace the marks; a page that shows the pipeline shows every pass."""
    if "<!-- pipeline -->" in markdown:
        shown = [mark["name"] for mark in _MARK.finditer(markdown) if mark["name"]]
        for name in ALL_PASSES:
            if shown.count(name) != 1:
                log.warning(f"{page.file.src_uri} shows {name} {shown.count(name)} times")
    return expand(markdown)


def expand(markdown: str) -> str:
    """The text with every mark replaced."""
    return _MARK.sub(lambda mark: _pass(mark["name"]) if mark["name"] else _pipeline(), markdown)


def _pipeline() -> str:
    rows = ["| | from | pass | why here |", "|---:|---|---|---|"]
    for number, (level, text, why) in enumerate(PIPELINE, 1):
        name, _, options = text.partition("{")
        options = f" `{{{options}`" if options else ""
        rows.append(f"| {number} | -O{level} | [{name}](#{name}){options} | {why} |")
    return "\n".join(rows)


def _pass(name: str) -> str:
    cls = ALL_PASSES[name]
    module = cls.__module__.removeprefix("cnnc.").replace(".", "/")
    first, _, text = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "").partition("\n\n")
    first = " ".join(first.removeprefix(f"{name}:").split())
    text = re.sub(r"^(.*)::$", r"\1:", text, flags=re.MULTILINE)
    text = re.sub(r"^(?! |\d+\. )(.+)\n(?=1\. )", r"\1\n\n", text, flags=re.MULTILINE)
    reaches = f", reaches *{cls.ensures}*" if cls.ensures else ""
    stages = f"Works from stage *{cls.requires}* on{reaches}. Code: `{module}.py`."
    return f"### {name}\n\n{first[0].upper()}{first[1:]}\n\n{text}\n\n{stages}\n"
