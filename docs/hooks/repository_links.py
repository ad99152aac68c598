"""Links from pages to files of the repository.

Pages link to code by its path, so that the links work wherever the repository is read. In the site they lead to a page
with the file's text; a code span that is the path of a file, such as ``runtime/cpu/gemm.py``, becomes a link to it too.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from code_marks import expand
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from outside_pages import page_of

ROOT = Path(__file__).resolve().parents[2]

_SOURCES = {".py": "python", ".toml": "toml", ".sh": "sh", ".yml": "yaml", ".c": "c", ".ir": "text", ".md": "markdown"}
"""Files that get a page when a page links to them: suffix -> language."""

_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
_CODE_SPAN = re.compile(r"(?<![\[`])`([\w./-]+/[\w.-]+\.\w+)`(?!`|\]\()")

log = get_plugin_logger(__name__)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page links to."""
    linked: set[Path] = set()
    for file in list(files.documentation_pages()):
        home = _home(file)
        for target in _targets(expand(file.content_string)):
            path = _repository_path(home, target)
            if path is not None and page_of(path) is None and _is_source(path):
                linked.add(path)
    for path in sorted(linked):
        text = (ROOT / path).read_text()
        fence = "~" * 12
        language = _SOURCES[path.suffix]
        content = f"---\ntitle: {path.as_posix()}\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n"
        content += f'# {path.as_posix()}\n\n{fence} {{ .{language} linenums="1" }}\n{text}\n{fence}\n'
        files.append(File.generated(config, _source_page(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their pages."""
    if page.file.src_uri.startswith("source/"):
        return markdown
    home = _home(page.file)
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        _, hash_sign, anchor = target.partition("#")
        path = _repository_path(home, target)
        if path is None:
            return match[0]
        found = page_of(path)
        if found is None and _is_source(path):
            found = _source_page(path)
        if found is None:
            if (ROOT / path).exists() and path.parts[0] != "docs":
                log.warning(f"{page.file.src_uri} links to {path}, which is no page and no source file")
            return match[0]
        return f"[{text}]({posixpath.relpath(found, here or '.')}{hash_sign}{anchor})"

    def code(match: re.Match[str]) -> str:
        path = Path(match[1])
        if not _is_source(path):
            return match[0]
        found = page_of(path) or _source_page(path)
        return f"[{match[0]}]({posixpath.relpath(found, here or '.')})"

    def prose(text: str) -> str:
        return _CODE_SPAN.sub(code, _LINK.sub(link, text))

    parts: list[str] = []
    at = 0
    for fence in _FENCE.finditer(markdown):
        parts += [prose(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, prose(markdown[at:])])


def _targets(markdown: str) -> list[str]:
    """What a page links to: targets of links, and paths in code spans as ``/path``."""
    prose = _FENCE.sub("", markdown)
    return [match[2] for match in _LINK.finditer(prose)] + ["/" + match[1] for match in _CODE_SPAN.finditer(prose)]


def _home(file: File) -> Path:
    """The folder, relative to the repository's root, that a page's links start from."""
    source = file.abs_src_path
    if source is None:
        return Path("docs") / posixpath.dirname(file.src_uri)
    return Path(source).resolve().relative_to(ROOT).parent


def _repository_path(home: Path, target: str) -> Path | None:
    """The path of a link's target from the repository's root; None of links elsewhere and within the page."""
    name = target.partition("#")[0]
    if not name or ":" in name:
        return None
    path = posixpath.normpath(name[1:] if name.startswith("/") else posixpath.join(home.as_posix(), name))
    return None if path.startswith("..") else Path(path)


def _is_source(path: Path) -> bool:
    return path.suffix in _SOURCES and (ROOT / path).is_file()


def _source_page(path: Path) -> str:
    return f"source/{path.as_posix()}.md"
