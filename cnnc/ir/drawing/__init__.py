"""Graphs as pictures: SVG with a layered layout, and Graphviz's language."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from cnnc.errors import OptionError
from cnnc.ir.drawing.boxes import drawing_of
from cnnc.ir.drawing.dot import dot_text, render
from cnnc.ir.drawing.svg import svg_text
from cnnc.ir.graph import Graph

__all__ = ["dot_text", "draw", "drawing_of", "svg_text"]

SUFFIXES = (".svg", ".dot", ".png", ".pdf")


def draw(graph: Graph, path: str | PathLike[str]) -> None:
    """Write a drawing of a graph in any stage: nodes coloured by the kind of op, tensors' types on the lines.

    Args:
        path: an ``.svg`` file, laid out by igraph; a ``.dot`` file for Graphviz; or a ``.png`` or ``.pdf`` file, which
            Graphviz makes where it is installed.

    Raises:
        OptionError: the name ends otherwise, or what draws such a file is not installed.
        OSError: the file cannot be written.
    """
    target = Path(path)
    drawing = drawing_of(graph)
    match target.suffix:
        case ".svg":
            target.write_text(svg_text(drawing), encoding="utf-8")
        case ".dot":
            target.write_text(dot_text(drawing), encoding="utf-8")
        case ".png" | ".pdf":
            render(dot_text(drawing), target)
        case _:
            raise OptionError(f"{target} is none of {', '.join(SUFFIXES)}", where="draw", hint="write an .svg file")
