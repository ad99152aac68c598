"""How a graph shows itself: as one line, as a table, as a drawing."""

from __future__ import annotations

import base64
import html
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from cnnc.fact_table import FactTable, Tabled

if TYPE_CHECKING:
    from cnnc.ir.graph import Graph

MOST_DRAWN_NODES = 60
"""Nodes up to which a notebook gets a drawing as well."""


class DisplayedGraph(Tabled):
    """What ``Graph`` offers to be looked at."""

    def to_networkx(self) -> Any:
        """The graph as a ``networkx.MultiDiGraph``, see ``cnnc.ir.to_networkx``."""
        from cnnc.ir.networkx_form import to_networkx

        return to_networkx(self._itself)

    def draw(self, path: str | PathLike[str]) -> None:
        """Write the graph as an .svg, .dot, .png or .pdf file, see ``cnnc.ir.drawing.draw``.

        Raises:
            OptionError: the name ends otherwise, or what draws such a file is not installed.
            OSError: the file cannot be written.
        """
        from cnnc.ir.drawing import draw

        draw(self._itself, path)

    def fact_table(self) -> FactTable:
        """A row for each node."""
        rows = tuple(
            (node.name, node.op, ", ".join(str(value.type) for value in node.outputs), ", ".join(node.loc[1:]))
            for node in self._itself.nodes
        )
        return FactTable(repr(self), ("node", "op", "result", "fused into it"), rows)

    @property
    def _itself(self) -> Graph:
        return cast("Graph", self)

    def _repr_svg_(self) -> str | None:
        """A drawing, of small graphs, where igraph is there to lay it out."""
        graph = self._itself
        if len(graph) > MOST_DRAWN_NODES or find_spec("igraph") is None:
            return None
        from cnnc.ir.drawing import drawing_of, svg_text

        return svg_text(drawing_of(graph))

    def _repr_html_(self) -> str:
        drawing = self._repr_svg_()
        if drawing is None:
            return self.fact_table().html()
        # As an image, so that its style sheet does not reach the rest of the page.
        data = base64.b64encode(drawing.encode()).decode()
        image = f'<img alt="{html.escape(repr(self))}" src="data:image/svg+xml;base64,{data}">'
        return f"{self.fact_table().html()}<details><summary>drawing</summary>{image}</details>"

    def __repr__(self) -> str:
        graph = self._itself
        inputs = ", ".join(f"{value.name} {value.type}" for value in graph.inputs)
        outputs = ", ".join(
            f"{name} {value.type}" for name, value in zip(graph.output_names, graph.outputs, strict=True)
        )
        return f"Graph({graph.name!r}, {graph.stage}, {len(graph)} nodes: {inputs} -> {outputs})"
