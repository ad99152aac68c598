"""What pages say of passes and kernels comes from the code, in place of marks, each a line of its own.

    <!-- pipeline -->                        the table of the pipeline
    <!-- pass fold-batch-norm -->            a pass: its module's docstring
    <!-- kernel conv.f32.blocked.direct -->  a CPU kernel: the same
    <!-- gpu-kernels -->                     a table of all GPU kernels

Every pass and every CPU kernel stands on one page.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from cnnc.passes import ALL_PASSES, PIPELINE
from cnnc.runtime import cpu, cuda

ROOT = Path(__file__).resolve().parents[2]

_MARK = re.compile(r"^<!-- (?P<kind>pipeline|gpu-kernels|pass|kernel)(?: (?P<name>\S+))? -->$", re.MULTILINE)
_NOT_SHOWN = frozenset({"worker_loop"})
"""In the table of kernels, because it is compiled like them."""

log = get_plugin_logger(__name__)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """See that nothing is left out or shown twice."""
    shown: Counter[str | None] = Counter()
    for file in files.documentation_pages():
        if not file.generated_by:
            shown.update(mark["name"] for mark in _MARK.finditer(file.content_string))
    for name in (*ALL_PASSES, *cpu.kernel_names()):
        if shown[name] != 1 and name not in _NOT_SHOWN:
            log.warning(f"{name} is shown on {shown[name]} pages")
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace the marks."""
    return expand(markdown)


def expand(markdown: str) -> str:
    """The text with every mark replaced."""
    return _MARK.sub(lambda mark: _MAKERS[mark["kind"]](mark["name"] or ""), markdown)


def _pipeline(_: str) -> str:
    rows = ["| | from | pass | why here |", "|---:|---|---|---|"]
    for number, (level, text, why) in enumerate(PIPELINE, 1):
        name, _, options = text.partition("{")
        options = f" `{{{options}`" if options else ""
        rows.append(f"| {number} | -O{level} | [{name}](#{name}){options} | {why} |")
    return "\n".join(rows)


def _pass(name: str) -> str:
    cls = ALL_PASSES[name]
    first, text = _docstring(cls.__module__)
    first = first.removeprefix(f"{name}:").strip()
    reaches = f", reaches *{cls.ensures}*" if cls.ensures else ""
    stages = f"Works from stage *{cls.requires}* on{reaches}. Code: `{_path(cls.__module__)}`."
    return f"### {name}\n\n{first[0].upper()}{first[1:]}\n\n{text}\n\n{stages}\n"


def _kernel(name: str) -> str:
    module = cpu.kernel_module(name)
    first, text = _docstring(module)
    first = re.sub(rf"^`*{re.escape(name)}`*: ", "", first)
    return f"### {name}\n\n{first[0].upper()}{first[1:]}\n\n{text}\n\nCode: `{_path(module)}`.\n"


def _gpu_kernels(_: str) -> str:
    rows = ["| kernel | what it computes | code |", "|---|---|---|"]
    for name in cuda.kernel_names():
        module = cuda.kernel_module(name)
        first, _ = _docstring(module)
        rows.append(f"| `{name}` | {first} | `{_path(module)}` |")
    return "\n".join(rows)


_MAKERS: dict[str, Callable[[str], str]] = {
    "pipeline": _pipeline,
    "pass": _pass,
    "kernel": _kernel,
    "gpu-kernels": _gpu_kernels,
}


def _docstring(module: str) -> tuple[str, str]:
    """The first paragraph of a module's docstring in one line, and the rest as Markdown."""
    text = inspect.cleandoc(ast.get_docstring(ast.parse((ROOT / _path(module)).read_text())) or "")
    first, _, rest = text.partition("\n\n")
    rest = re.sub(r"^(.*)::$", r"\1:", rest, flags=re.MULTILINE)
    rest = re.sub(r"^(?! |\d+\. |- )(.+)\n(?=1\. |- )", r"\1\n\n", rest, flags=re.MULTILINE)
    return _without_links(" ".join(first.split())), _without_links(rest)


def _without_links(text: str) -> str:
    """The text with neighbouring brackets, which are axes and no links, taken apart; blocks of code stay."""
    lines = (line if line.startswith("    ") else re.sub(r"\](\s?)\[", r"]\1\\[", line) for line in text.split("\n"))
    return "\n".join(lines)


def _path(module: str) -> str:
    """The file of a module, from the repository's root."""
    path = module.replace(".", "/") + ".py"
    return path if (ROOT / path).is_file() else path.removeprefix("cnnc/")
