"""The wheel holds the whole package: it imports from an empty folder, and its types are published."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cnnc", "cnnc.runtime", "cnnc.passes", "cnnc.frontends", "cnnc.cli")
SOURCES = ("cnnc", "passes", "frontends", "runtime")


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Output of a command of this Python; its errors are shown if it fails."""
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """A wheel of the tree, built without network and without traces in the tree: from a folder of links."""
    tree = folder / "tree"
    tree.mkdir()
    for name in (*SOURCES, "pyproject.toml", "README.md", "LICENSE"):
        (tree / name).symlink_to(ROOT / name)
    arguments = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(folder / "dist"))
    run("-m", "pip", "wheel", *arguments, str(tree), cwd=folder)
    (made,) = (folder / "dist").glob("cnnc-*.whl")
    return made


def check_content(names: set[str]) -> None:
    """Every module, what pages are made of, and the marker of published types is there, and nothing else."""
    for source in SOURCES:
        inside = source if source == "cnnc" else f"cnnc/{source}"
        assert f"{inside}/py.typed" in names
        for file in (ROOT / source).rglob("*.py"):
            assert f"{inside}/{file.relative_to(ROOT / source).as_posix()}" in names
    for file in (ROOT / "cnnc" / "report" / "assets").rglob("*.*"):
        assert file.relative_to(ROOT).as_posix() in names
    assert {name.split("/")[0] for name in names if not name.startswith("cnnc-")} == {"cnnc"}


def test_installed_wheel_imports_from_an_empty_folder(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    wheel = build_wheel(tmp_path)
    check_content(set(zipfile.ZipFile(wheel).namelist()))
    target, empty = tmp_path / "target", tmp_path / "empty"
    empty.mkdir()
    arguments = ("--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(target))
    run("-m", "pip", "install", *arguments, str(wheel), cwd=tmp_path)
    code = f"import importlib\nfor name in {PACKAGES!r}: print(importlib.import_module(name).__file__)"
    places = run("-c", code, cwd=empty, PYTHONPATH=str(target)).split()
    assert [Path(place).is_relative_to(target) for place in places] == [True] * len(PACKAGES)
