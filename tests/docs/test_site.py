"""What the pages say of the repository is so: paths exist, variables are known, every page can be reached."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from cnnc import errors
from cnnc.extending import POINTS
from cnnc.extension_points import ExtensionError
from tests.docs.pages import ROOT, pages, spans

CODE = ("cnnc", "passes", "frontends", "runtime", "tests", "benchmarks")
_PATH = re.compile(rf"(?:{'|'.join((*CODE, 'docs', 'examples'))})/[\w./-]+")
_NAME = re.compile(r"(cnnc(?:\.\w+)+)(?:\(.*\))?")
_VARIABLE = re.compile(r'"((?:CNNC|PY)_[A-Z_]+)"')


@pytest.mark.parametrize("page", pages(), ids=str)
def test_paths_in_code_spans_exist(page: Path) -> None:
    missing = [span for span in spans(page) if _PATH.fullmatch(span) and not (ROOT / span).exists()]
    assert not missing, f"{page} names files that are not there"


@pytest.mark.parametrize("page", pages(), ids=str)
def test_names_in_code_spans_exist(page: Path) -> None:
    groups = {point.group for point in POINTS}
    missing = []
    for span in spans(page):
        name = _NAME.fullmatch(span)
        if name and name[1] not in groups and not _resolves(name[1]):
            missing.append(span)
    assert not missing, f"{page} names what is not there"


def test_every_environment_variable_is_documented() -> None:
    text = (ROOT / "docs" / "environment-variables.md").read_text()
    used = {
        name
        for folder in CODE
        for file in (ROOT / folder).rglob("*.py")
        if file != Path(__file__)
        for name in _VARIABLE.findall(file.read_text())
    }
    assert used == set(re.findall(r"`((?:CNNC|PY)_[A-Z_]+)`", text))


def test_every_family_of_errors_is_explained() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    kinds = [ExtensionError, *(kind for kind in vars(errors).values() if isinstance(kind, type))]
    families = {kind.__name__ for kind in kinds if kind.__base__ in (errors.UserError, errors.CnncError)} - {
        "UserError"
    }
    assert families == set(re.findall(r"^### (\w+Error):", text, re.MULTILINE))


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = set(re.findall(r"([\w/-]+\.md)$", navigation, re.MULTILINE))
    written = {page.relative_to("docs").as_posix() for page in pages() if page.parts[0] == "docs"}
    assert written <= listed, "add them to nav in mkdocs.yml"


def _resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[depth:]:
            found = getattr(found, attribute, None)
        return found is not None
    return False
