"""Pages whose text lies outside of ``docs/``: the rules for contributors, and the course."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from navigation import fill

ROOT = Path(__file__).resolve().parents[2]


def page_of(path: Path) -> str | None:
    """The page that shows a file of the repository, relative to the pages' root; None for a file that is no page.

    Args:
        path: of a Markdown file or of the folder whose README it is, relative to the repository's root.
    """
    if (ROOT / path).is_dir():
        path /= "README.md"
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    return _outside().get(path)


def _outside() -> dict[Path, str]:
    pages = {Path("CONTRIBUTING.md"): "contributing.md", Path("examples/README.md"): "course/index.md"}
    readmes = sorted(ROOT.glob("examples/*/README.md"), key=lambda path: ("lesson_" not in path.parent.name, path))
    for readme in readmes:
        pages[readme.relative_to(ROOT)] = f"course/{readme.parent.name}/index.md"
    return {path: page for path, page in pages.items() if (ROOT / path).is_file()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the course into the navigation: lessons first."""
    lessons: list[Any] = [page for page in _outside().values() if page.startswith("course/")]
    fill(config, "course/*", lessons)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the pictures that lie beside them."""
    for path, page in _outside().items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
        if page.startswith("course/"):
            for picture in sorted((ROOT / path).parent.glob("*.[ps][nv]g")):
                place = f"{posixpath.dirname(page)}/{picture.name}"
                files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files
