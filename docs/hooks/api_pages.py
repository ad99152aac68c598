"""The reference of the Python API: a page for each public module or package, made from its docstrings."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from navigation import fill
from python_tree import ROOT


class Section(NamedTuple):
    """Pages that stand together in the navigation.

    Attributes:
        title: of the section.
        modules: import names, in order.
    """

    title: str
    modules: tuple[str, ...]


SECTIONS = (
    Section("Using models", ("cnnc", "cnnc.runtime", "cnnc.options", "cnnc.targets", "cnnc.errors", "cnnc.backend")),
    Section("Making models", ("cnnc.dsl", "cnnc.models", "cnnc.frontends", "cnnc.frontends.weights", "cnnc.export")),
    Section("Changing models", ("cnnc.quantization", "cnnc.pruning")),
    Section(
        "Looking inside",
        ("cnnc.explanation", "cnnc.report", "cnnc.view", "cnnc.ir.drawing", "cnnc.doctor", "cnnc.bisection"),
    ),
    Section(
        "The compiler",
        ("cnnc.types", "cnnc.dims", "cnnc.ir", "cnnc.ops", "cnnc.interp", "cnnc.channels", "cnnc.passes"),
    ),
    Section("Lowering and running", ("cnnc.lower", "cnnc.tuning", "cnnc.runtime.kernel", "cnnc.runtime.program")),
    Section("GPUs without a GPU", ("cnnc.emulation", "cnnc.ptx")),
    Section("Extending", ("cnnc.extending",)),
)

_INNER = frozenset({"cnnc.cli", "cnnc.frontends.dsl", "cnnc.frontends.onnx"})
"""Packages with public names that are shown elsewhere."""

log = get_plugin_logger(__name__)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the modules into the navigation."""
    sections: list[Any] = ["api/index.md"]
    for section in SECTIONS:
        sections.append({section.title: [{module: f"api/{module}.md"} for module in section.modules]})
    fill(config, "api/*", sections)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    index = ["# Python API\n", "What is public is what a package names in `__all__`.\n"]
    for section in SECTIONS:
        index.append(f"## {section.title}\n")
        index += [f"- [`{module}`]({module}.md): {_summary(module)}" for module in section.modules]
        index.append("")
        for module in section.modules:
            files.append(File.generated(config, f"api/{module}.md", content=f"# {module}\n\n::: {module}\n"))
    files.append(File.generated(config, "api/index.md", content="\n".join(index)))
    for module in sorted(_public_packages() - {module for section in SECTIONS for module in section.modules} - _INNER):
        log.warning(f"{module} names what is public, and has no page")
    return files


def _summary(module: str) -> str:
    """The first paragraph of a module's docstring, in one line."""
    path = ROOT / "build" / "python" / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    first = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n\n")[0]
    return " ".join(first.removeprefix(f"{module}: ").split())


def _public_packages() -> set[str]:
    """Packages that say what is public in them."""
    tree = ROOT / "build" / "python"
    found = (file for file in tree.rglob("__init__.py") if "\n__all__ = [" in file.read_text())
    return {".".join(file.parent.relative_to(tree).parts) for file in found}
