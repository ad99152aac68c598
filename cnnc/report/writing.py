"""Writes the page."""

from __future__ import annotations

import os
from pathlib import Path

from cnnc.cli.outputs import check_writable, write_text
from cnnc.compiled_model import CompiledModel
from cnnc.report.collect import DEFAULT_SETTINGS, Settings, collect
from cnnc.report.facts import Report
from cnnc.report.page import render_page


def write_report(
    compiled: CompiledModel, path: str | os.PathLike[str], settings: Settings = DEFAULT_SETTINGS
) -> Report:
    """Gather the facts of a compiled model and write them as one HTML file that needs no network.

    Args:
        path: of the file; one that ends in ``.json`` gets the facts alone.
        settings: see ``Settings``.

    Returns:
        What was written.

    Raises:
        OptionError: the folder does not exist or may not be written, or the path is a folder.
        OSError: the file cannot be written.
    """
    file = Path(path)
    check_writable(file, "the report")
    report = collect(compiled, settings)
    data = report.to_json()
    write_text(file, data if file.suffix == ".json" else render_page(data, f"{report.model.name} · cnnc"))
    return report
