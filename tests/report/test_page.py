"""The page is one file: what its policy allows is what is in it, and data cannot become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

from cnnc.report.page import escape_json, render_page

VENDOR = Path(__file__).resolve().parents[2] / "cnnc" / "report" / "assets" / "vendor"


def test_the_policy_names_the_hash_of_each_script_and_style() -> None:
    page = render_page("{}", "model")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    for tag in ("script", "style"):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert texts
        for text in texts:
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


def test_the_page_refers_to_nothing_outside() -> None:
    page = render_page("{}", "model")
    assert not re.findall(r'<[^>]+(?:src|href)="(?!#|data:)', page)
    assert "sourceMappingURL" not in page
    assert len(page) < 1_000_000


def test_data_and_title_cannot_end_their_elements() -> None:
    hostile = "</script><!--<script>alert(1)</script>"
    page = render_page(json.dumps({"name": hostile}), "<b>$data & more</b>")
    assert hostile not in page
    assert "&lt;b&gt;$data &amp; more&lt;/b&gt;" in page
    assert json.loads(escape_json(json.dumps(hostile))) == hostile


def test_libraries_are_those_that_the_table_names() -> None:
    table = (VENDOR / "README.md").read_text()
    files = sorted(VENDOR.glob("*/*.min.js"))
    assert len(files) == 2
    for file in files:
        name = file.relative_to(VENDOR).as_posix()
        assert f"`{name}`" in table
        assert hashlib.sha256(file.read_bytes()).hexdigest() in table
        assert (file.parent / "LICENSE").is_file()
