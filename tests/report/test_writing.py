"""The file that a report becomes."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import cnnc
from cnnc import dsl
from cnnc.errors import OptionError
from cnnc.report import Settings, write_report, writing
from tests.cli.command_line import LENET

QUICK = Settings(measure=False)
HOSTILE = "</script><script>alert(1)</script>"


class Scripts(HTMLParser):
    """The types and texts of a page's scripts, as a browser takes them apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        if self._inside:
            self.found.append((dict(attrs).get("type") or "", ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            kind, text = self.found[-1]
            self.found[-1] = kind, text + data


def data_of(page: str) -> Any:
    """The facts in a page."""
    [data] = [text for kind, text in Scripts(page).found if kind == "application/json"]
    return json.loads(data)


def test_names_of_a_hostile_model_stay_text(tmp_path: Path) -> None:
    def network(x: dsl.Tensor) -> dict[str, dsl.Tensor]:
        return {HOSTILE: dsl.relu(dsl.Conv2d(1, 4, 3)(x))}

    plain, hostile = tmp_path / "plain.html", tmp_path / "hostile.html"
    write_report(cnnc.compile(LENET), plain, QUICK)
    compiled = cnnc.compile(dsl.model(network, {f"x{HOSTILE}": (1, 1, 8, 8)}, name=HOSTILE))
    write_report(compiled, hostile, QUICK)
    page = hostile.read_text(encoding="utf-8")
    facts = data_of(page)
    assert facts["model"]["name"] == HOSTILE
    assert facts["model"]["inputs"][0]["name"] == f"x{HOSTILE}"
    assert HOSTILE not in page
    scripts = [kind for kind, _ in Scripts(page).found]
    assert scripts == [kind for kind, _ in Scripts(plain.read_text(encoding="utf-8")).found]


def test_the_old_page_stays_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: str, title: str) -> str:
        raise RuntimeError("no page")

    page = tmp_path / "report.html"
    page.write_text("old")
    compiled = cnnc.compile(LENET)
    monkeypatch.setattr(writing, "render_page", fail)
    with pytest.raises(RuntimeError):
        write_report(compiled, page, QUICK)
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_json_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    written = write_report(cnnc.compile(LENET), path, QUICK)
    assert path.read_text(encoding="utf-8") == written.to_json()


def test_folders_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="does not exist"):
        write_report(cnnc.compile(LENET), tmp_path / "missing" / "report.html", QUICK)
