"""Every command that a page shows exists, with the options it is given, though it is not run here."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest

from cnnc.cli import main
from tests.docs.pages import ROOT, Command, blocks, commands, pages

PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_are_understood(page: Path) -> None:
    wrong = [f"{command.place}: {reason}" for command in commands(page) if (reason := _mistake(command))]
    assert not wrong, "\n".join(wrong)


def test_mistakes_are_found() -> None:
    assert "no such command" in (_mistake(Command("", "cnnc", ("compil", "x.onnx"))) or "").lower()
    assert "--fast" in (_mistake(Command("", "cnnc", ("compile", "x.onnx", "--fast"))) or "")
    assert "f3" in (_mistake(Command("", "cnnc", ("compile", "x.onnx", "--winograd", "f3"))) or "")
    assert "benchmarks/none.py" in (_mistake(Command("", "python", ("benchmarks/none.py",))) or "")
    assert "--nothing" in (_mistake(Command("", "python", ("benchmarks/arena.py", "--nothing"))) or "")
    assert _mistake(Command("", "cnnc", ("compile", "x.onnx", "--winograd", "off"))) is None


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_python_parses_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page):
        if block.language != "python":
            continue
        tree = ast.parse(block.text, f"{page}:{block.line}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cnnc":
                module = importlib.import_module(node.module or "")
                for name in node.names:
                    assert _has(module.__name__, name.name), f"{page}:{block.line}: {node.module} has no {name.name}"


def _has(module: str, name: str) -> bool:
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


def _mistake(command: Command) -> str | None:
    """What is wrong with a command; None where nothing is."""
    return _mistake_of_script(command) if command.program == "python" else _mistake_of_cnnc(command)


def _mistake_of_script(command: Command) -> str | None:
    script = ROOT / command.arguments[0]
    if script.suffix != ".py" or script.parent == ROOT:
        return None  # a module, or a reader's own file
    if not script.is_file():
        return f"there is no {command.arguments[0]}"
    # A script's options may be declared in another file of its folder.
    text = "\n".join(file.read_text() for file in script.parent.rglob("*.py"))
    options = [word.partition("=")[0] for word in command.arguments[1:] if word.startswith("--")]
    unknown = [option for option in options if f'"{option}"' not in text]
    return f"{command.arguments[0]} has no {', '.join(unknown)}" if unknown else None


def _mistake_of_cnnc(command: Command) -> str | None:
    name, *arguments = command.arguments
    group = click.Context(main, info_name="cnnc")
    if name.startswith("-"):
        return None if name in ("--help", "--version", "-h") else f"cnnc has no option {name}"
    if re.fullmatch(r"[A-Z]+|\.\.\.", name):
        return None
    found = main.get_command(group, name)
    if found is None:
        return f"no such command: cnnc {name}"
    context = click.Context(found, info_name=name, parent=group)
    try:
        values, _, _ = found.make_parser(context).parse_args([word for word in arguments if word != "..."])
        for parameter in found.get_params(context):
            given = values.get(parameter.name or "")
            if isinstance(parameter.type, click.Choice) and isinstance(given, str):
                parameter.type.convert(given, parameter, context)
    except click.BadOptionUsage as error:
        # Prose names an option without its value.
        return None if arguments[-1] == error.option_name else error.format_message()
    except click.UsageError as error:
        return error.format_message()
    return None
