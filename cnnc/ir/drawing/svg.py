"""A drawing as SVG: one file without scripts or anything to load, text escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

from cnnc.ir.drawing.boxes import Box, Drawing, Line
from cnnc.ir.drawing.layered_layout import Layout, layered
from cnnc.ir.drawing.op_kinds import COLOURS, INPUT, OUTPUT

BOX_WIDTH, BOX_HEIGHT = 208, 40
COLUMN, LAYER = 232, 92
"""Distances of neighbouring boxes."""

_MARGIN = 24
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """
text { font-family: sans-serif; font-size: 12px; fill: #222; text-anchor: middle; }
.name, .type, .group-name { font-size: 10px; fill: #555; }
.type { text-anchor: start; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.group-name { text-anchor: start; fill: #888; }
.box { stroke: #555; }
.line { fill: none; stroke: #777; stroke-width: 1.2; }
.group { fill: #000; fill-opacity: 0.035; stroke: #bbb; stroke-dasharray: 4 3; }
"""

Point = tuple[float, float]


def svg_text(drawing: Drawing) -> str:
    """The drawing as an SVG document.

    Raises:
        OptionError: igraph is not installed.
    """
    layout = layered(drawing)
    columns = max((column for column, _ in _all_places(layout)), default=0.0)
    layers = max((layer for _, layer in _all_places(layout)), default=0)
    width = 2 * _MARGIN + columns * COLUMN + BOX_WIDTH
    height = 2 * _MARGIN + layers * LAYER + BOX_HEIGHT
    root = ElementTree.Element("svg", _attributes(xmlns="http://www.w3.org/2000/svg", width=width, height=height))
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    _child(root, "title", clean(drawing.name))
    _child(root, "style", _STYLE)
    head = _child(_child(root, "defs"), "marker", id="arrow", viewBox="0 0 8 8", refX=7, refY=4, markerWidth=7)
    head.set("markerHeight", "7")
    head.set("orient", "auto")
    _child(head, "path", d="M0 0L8 4L0 8z", fill="#777")
    _child(root, "rect", width=width, height=height, fill="#fff")
    for group, (left, top, right, bottom) in _groups(drawing, layout):
        frame = _child(root, "rect", **{"class": "group"}, x=left, y=top, width=right - left, height=bottom - top, rx=8)
        _child(frame, "title", clean(group))
        _child(root, "text", clean(group.rpartition("/")[2]), **{"class": "group-name"}, x=left + 6, y=top + 10)
    for line, route in zip(drawing.lines, layout.routes, strict=True):
        _draw_line(root, line, route)
    for box, place in zip(drawing.boxes, layout.places, strict=True):
        _draw_box(root, box, place)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def clean(text: str) -> str:
    """``text`` with a replacement for every character that XML does not allow."""
    return _NOT_XML.sub("\ufffd", text)


def _draw_box(root: ElementTree.Element, box: Box, place: tuple[float, int]) -> None:
    left, top = _corner(place)
    group = _child(root, "g")
    _child(group, "title", clean(box.tooltip))
    radius = BOX_HEIGHT / 2 if box.kind in (INPUT, OUTPUT) else 5
    fill = COLOURS[box.kind]
    _child(group, "rect", **{"class": "box"}, x=left, y=top, width=BOX_WIDTH, height=BOX_HEIGHT, rx=radius, fill=fill)
    _child(group, "text", clean(box.title), x=left + BOX_WIDTH / 2, y=top + 17)
    _child(group, "text", clean(box.subtitle), **{"class": "name"}, x=left + BOX_WIDTH / 2, y=top + 32)


def _draw_line(root: ElementTree.Element, line: Line, route: Sequence[tuple[float, int]]) -> None:
    group = _child(root, "g")
    _child(group, "title", clean(line.tooltip))
    points = _points(route)
    x, y = points[0]
    parts = [f"M{x:g} {y:g}"]
    for (from_x, from_y), (to_x, to_y) in pairwise(points):
        middle = (from_y + to_y) / 2
        if from_x == to_x:
            parts.append(f"L{to_x:g} {to_y:g}")
        else:
            parts.append(f"C{from_x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}")
    _child(group, "path", **{"class": "line"}, d="".join(parts)).set("marker-end", "url(#arrow)")
    if line.label:
        _child(group, "text", clean(line.label), **{"class": "type"}, x=x + 5, y=y + 14)


def _points(route: Sequence[tuple[float, int]]) -> list[Point]:
    """From the lower edge of the first box to the upper edge of the last, straight through the layers between."""
    points: list[Point] = []
    for number, place in enumerate(route):
        left, top = _corner(place)
        x = left + BOX_WIDTH / 2
        if number > 0:
            points.append((x, top))
        if number < len(route) - 1:
            points.append((x, top + BOX_HEIGHT))
    return points


def _corner(place: tuple[float, int]) -> Point:
    column, layer = place
    return _MARGIN + column * COLUMN, _MARGIN + layer * LAYER


def _groups(drawing: Drawing, layout: Layout) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Frames of modules with two boxes or more that frame nothing else, the outermost first."""
    members: dict[str, list[int]] = {}
    for number, box in enumerate(drawing.boxes):
        parts = box.group.split("/") if box.group else []
        for depth in range(1, len(parts) + 1):
            members.setdefault("/".join(parts[:depth]), []).append(number)
    frames: list[tuple[str, Sequence[float], Sequence[int]]] = []
    for group, numbers in members.items():
        if not 2 <= len(numbers) < len(drawing.boxes):
            continue
        columns, layers = zip(*(layout.places[number] for number in numbers), strict=True)
        inside = [
            number
            for number, (column, layer) in enumerate(layout.places)
            if min(columns) <= column <= max(columns) and min(layers) <= layer <= max(layers)
        ]
        if len(inside) == len(numbers):
            frames.append((group, columns, layers))
    frames.sort(key=lambda frame: (frame[0].count("/"), frame[0]))
    return [(group, _frame(columns, layers, _levels_within(group, frames))) for group, columns, layers in frames]


def _levels_within(group: str, frames: Sequence[tuple[str, Sequence[float], Sequence[int]]]) -> int:
    """How many frames lie in that of ``group`` one in another, two at most."""
    depths = [other.count("/") - group.count("/") for other, _, _ in frames if other.startswith(f"{group}/")]
    return min(2, len(set(depths)))


def _frame(columns: Sequence[float], layers: Sequence[int], within: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom around boxes, with room for a name, and for ``within`` frames inside with theirs."""
    left, top = _corner((min(columns), min(layers)))
    right, bottom = _corner((max(columns), max(layers)))
    side = 4 + 3 * within
    return left - side, top - 14 - 11 * within, right + BOX_WIDTH + side, bottom + BOX_HEIGHT + side


def _all_places(layout: Layout) -> list[tuple[float, int]]:
    return [*layout.places, *(place for route in layout.routes for place in route)]


def _child(parent: ElementTree.Element, tag: str, text: str = "", **attributes: object) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, _attributes(**attributes))
    if text:
        element.text = text
    return element


def _attributes(**attributes: object) -> dict[str, str]:
    return {name: f"{value:g}" if isinstance(value, (int, float)) else str(value) for name, value in attributes.items()}
