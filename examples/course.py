"""The course: lists its lessons, runs them, and checks exercises.

    python examples/course.py list
    python examples/course.py run 3                the lesson; what stands behind the number is passed on to it
    python examples/course.py check 3              your exercise.py, part by part
    python examples/course.py check 3 --solution   the solution instead

A lesson is a folder ``lesson_NN_name``: ``lesson.py`` runs by itself, ``exercise.py`` is yours to edit, ``solution.py``
has the same functions solved, and ``check.py`` holds ``PARTS``: functions that take the module to check and raise an
AssertionError that says what is wrong with it.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import click

EXAMPLES = Path(__file__).resolve().parent
FILES = ("README.md", "lesson.py", "exercise.py", "solution.py", "check.py")
"""What every lesson has."""


@dataclass(frozen=True)
class Lesson:
    """A numbered folder of the course."""

    number: int
    folder: Path

    @property
    def title(self) -> str:
        """The README's heading."""
        return (self.folder / "README.md").read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")

    def module(self, name: str) -> ModuleType:
        """``exercise``, ``solution`` or ``check``, read anew."""
        if str(EXAMPLES) not in sys.path:
            sys.path.insert(0, str(EXAMPLES))
        path = f"{self.folder.name}.{name}"
        sys.modules.pop(path, None)
        importlib.invalidate_caches()
        return importlib.import_module(path)


@dataclass(frozen=True)
class Grade:
    """How one part of an exercise went.

    Attributes:
        part: what it asks for.
        verdict: "unwritten" where the function still raises NotImplementedError, "crashed" for any other exception.
        message: what is wrong; "" for "done".
    """

    part: str
    verdict: Literal["done", "unwritten", "wrong", "crashed"]
    message: str = ""


def lessons() -> tuple[Lesson, ...]:
    """All lessons in order."""
    folders = sorted(EXAMPLES.glob("lesson_[0-9][0-9]_*"))
    return tuple(Lesson(int(folder.name.split("_")[1]), folder) for folder in folders if folder.is_dir())


def grade(lesson: Lesson, student: ModuleType) -> tuple[Grade, ...]:
    """One grade for each part of the lesson's exercise.

    Args:
        student: the lesson's ``exercise``, or ``solution``.
    """
    return tuple(_grade_part(part, student) for part in lesson.module("check").PARTS)


def _grade_part(part: object, student: ModuleType) -> Grade:
    assert callable(part) and part.__doc__
    name = part.__doc__.partition("\n")[0].rstrip(".")
    try:
        part(student)
    except AssertionError as error:
        return Grade(name, "wrong", str(error))
    except NotImplementedError as error:
        return Grade(name, "unwritten", str(error))
    except Exception as error:
        # Whatever a student's function raises, its author should see where.
        places = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == student.__file__]
        where = f"\n  line {places[-1].lineno} of {Path(places[-1].filename).name}: {places[-1].line}" if places else ""
        return Grade(name, "crashed", f"{type(error).__name__}: {error}{where}")
    return Grade(name, "done")


def find(number: int) -> Lesson:
    """The lesson of that number."""
    for lesson in lessons():
        if lesson.number == number:
            return lesson
    raise click.BadParameter(f"there is no lesson {number}; `list` shows them")


@click.group(help=(__doc__ or "").partition("\n")[0])
def main() -> None:
    """The command."""


@main.command("list")
def list_lessons() -> None:
    """Show number, title and folder of every lesson."""
    for lesson in lessons():
        click.echo(f"{lesson.title:72} {lesson.folder.name}")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("number", type=int)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(number: int, arguments: tuple[str, ...]) -> None:
    """Run a lesson."""
    script = find(number).folder / "lesson.py"
    sys.exit(subprocess.run([sys.executable, str(script), *arguments], check=False).returncode)


@main.command()
@click.argument("number", type=int)
@click.option("--solution", is_flag=True, help="Check the solution instead of your exercise.")
def check(number: int, solution: bool) -> None:
    """Check an exercise, part by part."""
    lesson = find(number)
    grades = grade(lesson, lesson.module("solution" if solution else "exercise"))
    for result in grades:
        click.echo(f"{'[x]' if result.verdict == 'done' else '[ ]'} {result.part}")
        if result.message:
            click.echo(f"    {result.verdict}: " + result.message.replace("\n", "\n    "))
    done = sum(result.verdict == "done" for result in grades)
    click.echo(f"{done} of {len(grades)} parts are done")
    sys.exit(done < len(grades))


if __name__ == "__main__":
    main()
