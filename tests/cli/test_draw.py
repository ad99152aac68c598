"""cnnc draw: the file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command_line import LENET, cnnc, done


def test_as_written_and_as_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "net.svg"
    assert "12 nodes, imported" in done("draw", LENET, "-o", path)
    assert "batch" not in path.read_text() and ">max_pool<" in path.read_text()
    assert "9 nodes, placed" in done("draw", LENET, "-O", 2, "-o", path)
    ElementTree.parse(path)
    assert ">convert_layout<" in path.read_text()
    assert "8 nodes" in done("draw", LENET, "-O", 2, "--stop-after", "fuse-conv-activation", "-o", tmp_path / "net.dot")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.dot", "net.svg"]


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["-o", "net.jpg"], ("--output", "none of .svg")),
        (["-o", "nowhere/net.svg"], ("--output", "does not exist")),
        (["-o", "net.svg", "--stop-after", "fold-pad"], ("--stop-after", "no passes run", "-O2")),
        (["-o", "net.svg", "-O", 2, "--stop-after", "fold-bad"], ("--stop-after", "fold-bad")),
    ],
    ids=lambda value: " ".join(map(str, value[:3])),
)
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], fragments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = cnnc("draw", LENET, *arguments)
    assert result.exit_code == 2, result.output
    assert all(fragment in result.stderr for fragment in fragments), result.stderr
    assert not list(tmp_path.iterdir())
