"""The reference of commands: a page for each, made from what click knows of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from navigation import fill

from cnnc.cli import main
from cnnc.cli.group import COMMANDS

GUIDES = {
    "bisect": ("Which rewrite, or which kernel", "bisect.md"),
    "compile": ("Getting started", "getting-started.md"),
    "doctor": ("What is wrong with a model", "doctor.md"),
    "draw": ("Graphs and feature maps", "view.md"),
    "emulate": ("GPUs", "cuda.md"),
    "explain": ("Why a model is what it is", "explain.md"),
    "extensions": ("Extending cnnc", "extending.md"),
    "models": ("Networks in Python", "dsl.md"),
    "opt": ("Looking inside", "tour.md#the-passes"),
    "passes": ("The passes", "passes.md"),
    "prune": ("Pruning", "pruning.md"),
    "quantize": ("Quantization", "quantization.md"),
    "sensitivity": ("Pruning", "pruning.md"),
    "view": ("Graphs and feature maps", "view.md"),
}
"""Command -> title and address of the page that explains more."""

_NO_WRAP = re.compile(r"^\x08\n((?:.+\n?)+)", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the commands into the navigation, in the order of ``cnnc --help``."""
    entries: list[Any] = ["commands/index.md", *({f"cnnc {name}": f"commands/{name}.md"} for name in COMMANDS)]
    fill(config, "commands/*", entries)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    context = click.Context(main, info_name="cnnc")
    files.append(File.generated(config, "commands/index.md", content="\n".join(_index(context))))
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        text = "\n".join(_page(command, click.Context(command, info_name=name, parent=context)))
        files.append(File.generated(config, f"commands/{name}.md", content=text))
    return files


def _index(context: click.Context) -> Iterator[str]:
    yield "# Commands\n"
    yield f"{_prose(main.help or '')}\n"
    yield "| command | what it does |\n|---|---|"
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield f"| [`cnnc {name}`]({name}.md) | {_cell(command.get_short_help_str(200))} |"


def _page(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"# cnnc {command.name}\n"
    yield f"{_prose(command.help or '')}\n"
    if command.name in GUIDES:
        title, address = GUIDES[command.name]
        yield f"More: [{title}](../{address}).\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"## Usage\n\n```text\n{context.command_path} {usage}\n```\n"
    yield "## Options\n\n| option | value | default | meaning |\n|---|---|---|---|"
    for option in command.get_params(context):
        if isinstance(option, click.Option) and not option.hidden:
            yield _row(option, context)


def _row(option: click.Option, context: click.Context) -> str:
    names = "<br>".join(f"`{name}`{{ .option }}" for name in (*option.opts, *option.secondary_opts))
    extra = option.get_help_extra(context)
    value = "" if option.is_flag else _cell(option.make_metavar(context))
    default = "required" if option.required else str(extra.get("default", ""))
    if default and not option.required:
        default = f"`{default}`"
    notes = " Several times." if option.multiple else ""
    bounds = f" In {extra['range']}." if "range" in extra else ""
    return f"| {names} | {value} | {_cell(default)} | {_cell(option.help or '')}{notes}{bounds} |"


def _prose(text: str) -> str:
    """A command's help as Markdown: what click is told not to wrap is a block of code."""
    text = inspect.cleandoc(text).replace("\f", "")
    text = _NO_WRAP.sub(lambda block: f"```text\n{inspect.cleandoc(block[1])}\n```\n", text + "\n")
    parts = re.split(r"(```text\n.*?```\n)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else part.replace("<", "&lt;").replace("*", "\\*") for part in parts)


def _cell(text: str) -> str:
    """Text as a cell of a table."""
    text = " ".join(text.split())
    for plain, escaped in (("|", "&#124;"), ("<", "&lt;"), ("*", "\\*"), ("_", "\\_"), ("[", "\\["), ("$", "\\$")):
        text = text.replace(plain, escaped)
    return text
