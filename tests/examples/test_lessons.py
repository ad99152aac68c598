"""Every lesson runs, and its check tells a solution from an exercise that nobody has solved."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent.parent


def _course() -> ModuleType:
    spec = importlib.util.spec_from_file_location("course", ROOT / "examples" / "course.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["course"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


course = _course()
LESSONS = pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.folder.name)
SHOWN = {
    1: "44 of 50 right",
    2: "the same bits come out",
    3: "55 nodes became 38",
    4: "2 rewrites: plain, turned",
    5: "so the reshape gives f32[N, 2, 2, H, W]",
    6: "by size  optimal in 140",
    7: "6 in place",
    8: "GFLOP/s of direct convolution",
    9: "against q_linear_conv: 0 of 160000",
    10: "pays below",
    11: "transpose_padded",
    12: "c-rows",
}
"""What a lesson prints, among other things, by its number."""
SMALLER = {
    7: ("--channels", "64", "--size", "16", "--rounds", "1"),
    8: ("--channels", "16", "--size", "14"),
    10: ("--pixels", "128", "--channels", "64", "--rounds", "1"),
    11: ("--size", "64"),
}
"""Arguments that make long lessons short."""
TOOLS = {
    12: ("cc", "gcc", "clang"),
}
"""Programs of which a lesson needs one."""
PACKAGES = {
    11: ("numba_cuda", "cuda.pathfinder"),
}
"""Packages of extras that a lesson needs."""


def skip_without_tools(lesson: Any) -> None:
    tools = TOOLS.get(lesson.number, ())
    if tools and not any(map(shutil.which, tools)):
        pytest.skip(f"none of {', '.join(tools)} is installed")
    for package in PACKAGES.get(lesson.number, ()):
        pytest.importorskip(package)


@LESSONS
def test_a_lesson_is_complete(lesson: Any) -> None:
    assert [name for name in course.FILES if not (lesson.folder / name).is_file()] == []
    assert lesson.title.startswith(f"Lesson {lesson.number}: ")
    assert f"]({lesson.folder.name})" in (ROOT / "examples" / "README.md").read_text()
    assert lesson.number in SHOWN


@pytest.mark.jit
@LESSONS
def test_a_lesson_runs(lesson: Any) -> None:
    skip_without_tools(lesson)
    command = [sys.executable, str(lesson.folder / "lesson.py"), *SMALLER.get(lesson.number, ())]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert SHOWN[lesson.number] in done.stdout
    assert "Warning" not in done.stderr


@pytest.mark.jit
@LESSONS
def test_an_unsolved_exercise_fails_in_every_part(lesson: Any) -> None:
    skip_without_tools(lesson)
    for grade in course.grade(lesson, lesson.module("exercise")):
        assert grade.verdict in ("unwritten", "wrong"), grade
        assert len(grade.message) > 20, grade


@pytest.mark.jit
@LESSONS
def test_a_solution_passes(lesson: Any) -> None:
    skip_without_tools(lesson)
    grades = course.grade(lesson, lesson.module("solution"))
    assert 1 < len(grades) < 6
    assert [grade for grade in grades if grade.verdict != "done"] == []


def test_a_crash_names_the_line_of_the_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lesson_99_divide"
    folder.mkdir()
    (folder / "check.py").write_text(
        'def halve(student):\n    """Part 1: half"""\n    student.half(0)\n\nPARTS = (halve,)\n'
    )
    (folder / "exercise.py").write_text("def half(x):\n    return 1 / x\n")
    monkeypatch.setattr(course, "EXAMPLES", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    [lesson] = course.lessons()
    [grade] = course.grade(lesson, lesson.module("exercise"))
    assert (grade.part, grade.verdict) == ("Part 1: half", "crashed")
    assert "ZeroDivisionError" in grade.message
    assert "line 2 of exercise.py: return 1 / x" in grade.message


def test_the_command() -> None:
    listed = CliRunner().invoke(course.main, ["list"])
    assert "Lesson 1: build LeNet" in listed.output
    unsolved = CliRunner().invoke(course.main, ["check", "1"])
    assert unsolved.exit_code == 1
    assert "[ ] Part 1" in unsolved.output
    assert "0 of 3 parts are done" in unsolved.output
    missing = CliRunner().invoke(course.main, ["run", "77"])
    assert missing.exit_code == 2
    assert "there is no lesson 77" in missing.output
