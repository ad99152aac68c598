"""The reference of the Python API: a page for each public module or package, made from its docstrings."""

from __future__ import annotations

from typing import Any, NamedTuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from navigation import fill


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
    Section("The compiler", ("cnnc.types", "cnnc.dims", "cnnc.ir", "cnnc.ops", "cnnc.interp", "cnnc.passes")),
    Section("Lowering and running", ("cnnc.lower", "cnnc.tuning", "cnnc.runtime.kernel", "cnnc.runtime.program")),
    Section("GPUs without a GPU", ("cnnc.emulation", "cnnc.ptx")),
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the modules into the navigation."""
    sections: list[Any] = ["api/index.md"]
    for section in SECTIONS:
        sections.append({section.title: [{module: f"api/{module}.md"} for module in section.modules]})
    fill(config.nav, "api/*", sections)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    index = ["# Python API\n", "What is public is what a package names in `__all__`.\n"]
    for section in SECTIONS:
        index.append(f"## {section.title}\n")
        index += [f"- [`{module}`]({module}.md)" for module in section.modules]
        index.append("")
        for module in section.modules:
            files.append(File.generated(config, f"api/{module}.md", content=f"# {module}\n\n::: {module}\n"))
    files.append(File.generated(config, "api/index.md", content="\n".join(index)))
    return files
