"""Drawings of graphs: what is on them, where, and that names cannot break them."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cnnc import models
from cnnc.errors import OptionError
from cnnc.frontends.dsl.initialisers import zeros
from cnnc.ir import Graph
from cnnc.ir.drawing import dot_text, drawing_of, svg_text
from cnnc.ir.drawing.columns import spread
from cnnc.ir.drawing.layered_layout import layered
from cnnc.ir.drawing.op_kinds import COLOURS, kind_of
from cnnc.ir.drawing.svg import BOX_HEIGHT, BOX_WIDTH
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = 'a"]; x -> y; //<script>alert(1)</script>&amp;\\N\x00\x08\n\N{SNOWMAN}'


def chain(name: str = "layer") -> Graph:
    """x -> relu -> add(x), whose sum is two outputs."""
    graph = Graph(OPS, name)
    x = graph.add_input(f"{name}.x", TensorType((1, 3), DType.F32))
    relu = graph.add_node("relu", [x], names=[f"{name}.r"], loc=(name,)).output
    one = graph.add_constant(np.ones((1, 3), np.float32), "one")
    total = graph.add_node("add", [relu, x], names=["s"], loc=("sum",)).output
    more = graph.add_node("mul", [total, one], names=["m"], loc=("more",)).output
    graph.set_outputs([more, more], [f"{name}.y", "z"])
    return graph


@pytest.fixture(scope="module", params=["lenet5", "resnet50", "inception_v3", "densenet121", "unet"])
def graph(request: pytest.FixtureRequest) -> Graph:
    return models.model(request.param, init=zeros).graph()


def boxes_of(root: ElementTree.Element) -> list[tuple[float, float]]:
    """Left upper corners."""
    found = root.iterfind(f".//{SVG}rect[@class='box']")
    return [(float(box.get("x", "")), float(box.get("y", ""))) for box in found]


def test_every_node_and_every_use_is_drawn(graph: Graph) -> None:
    drawing = drawing_of(graph)
    uses = {
        (id(value.producer) if value.producer else value.name, id(node), value.name)
        for node in graph.nodes
        for value in node.inputs
        if value is not None and not value.is_constant
    }
    assert len(drawing.boxes) == len(graph.inputs) + len(graph) + len(graph.outputs)
    assert len(drawing.lines) == len(uses) + len(graph.outputs)
    root = ElementTree.fromstring(svg_text(drawing))
    assert len(boxes_of(root)) == len(drawing.boxes)
    assert len(root.findall(f".//{SVG}path[@class='line']")) == len(drawing.lines)
    labels = [label.text for label in root.iterfind(f".//{SVG}text[@class='type']")]
    assert sorted(filter(None, labels)) == sorted(line.label for line in drawing.lines if line.label)


def test_boxes_do_not_overlap_and_lines_go_down(graph: Graph) -> None:
    root = ElementTree.fromstring(svg_text(drawing_of(graph)))
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    rows: dict[float, list[float]] = {}
    for left, top in boxes_of(root):
        assert 0 <= left <= width - BOX_WIDTH
        assert 0 <= top <= height - BOX_HEIGHT
        rows.setdefault(top, []).append(left)
    for lefts in rows.values():
        assert all(second - first >= BOX_WIDTH for first, second in itertools.pairwise(sorted(lefts)))
    for path in root.iterfind(f".//{SVG}path[@class='line']"):
        heights = [float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", path.get("d", ""))]
        assert heights == sorted(heights)


def test_lines_are_led_around_boxes(graph: Graph) -> None:
    layout = layered(drawing_of(graph))
    boxes = set(layout.places)
    for route in layout.routes:
        assert [layer for _, layer in route] == list(range(route[0][1], route[-1][1] + 1))
        assert not boxes & set(route[1:-1])


def test_the_same_graph_is_the_same_drawing() -> None:
    first, second = (svg_text(drawing_of(models.model("resnet18", init=zeros).graph())) for _ in range(2))
    assert first == second


def test_a_tensor_has_one_label_and_a_node_a_tooltip() -> None:
    drawing = drawing_of(chain())
    assert [line.label for line in drawing.lines].count("f32[1, 3]") == len({"x", "r", "s", "m"})
    text = svg_text(drawing)
    assert "in const %one: f32[1, 3]" in text
    assert "mul more" in text


def test_frames_are_parts_of_the_model() -> None:
    root = ElementTree.fromstring(svg_text(drawing_of(models.model("resnet18", init=zeros).graph())))
    frames = [frame.findtext(f"{SVG}title") for frame in root.iterfind(f".//{SVG}rect[@class='group']")]
    assert {"layer1", "layer1/0", "layer4/1"} <= set(frames)


@pytest.mark.parametrize("name", [HOSTILE, "]]>", "%s{}", "x" * 500])
def test_names_are_text(name: str, tmp_path: Path) -> None:
    graph = chain(name)
    graph.draw(tmp_path / "g.svg")
    root = ElementTree.parse(tmp_path / "g.svg").getroot()
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        *("svg", "title", "style", "defs", "marker", "path", "rect", "g", "text")
    }
    assert all(len(text.text or "") <= 40 for text in root.iter(f"{SVG}text"))
    assert any("relu" in (title.text or "") and name[:8] in (title.text or "") for title in root.iter(f"{SVG}title"))
    dot = dot_text(drawing_of(graph))
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', dot)
    assert not re.search(r'[<>&"](?<!->)(?<!"")', bare.replace('""', "")), bare
    assert "script" not in bare and "\x00" not in dot
    assert bare.count("->") == len(drawing_of(graph).lines)


def test_dot_has_clusters(tmp_path: Path) -> None:
    models.model("resnet18", init=zeros).graph().draw(tmp_path / "g.dot")
    text = (tmp_path / "g.dot").read_text()
    assert 'subgraph "cluster layer1/0" {' in text
    assert text.count("{") == text.count("}")


def test_png_and_pdf_are_graphviz_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionError, match="Graphviz's dot, which is not installed"):
        chain().draw(tmp_path / "g.png")
    program = tmp_path / "dot"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[3], 'w').write(sys.argv[1] + sys.stdin.read())\n"
    )
    program.chmod(0o755)
    chain().draw(tmp_path / "g.pdf")
    assert (tmp_path / "g.pdf").read_text() == "-Tpdf" + dot_text(drawing_of(chain()))
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('syntax error')\n")
    with pytest.raises(OptionError, match="cannot draw it: syntax error"):
        chain().draw(tmp_path / "g.png")


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"none of \.svg, \.dot, \.png, \.pdf"):
        chain().draw(tmp_path / "g.jpg")


def test_without_igraph(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(OptionError, match="igraph's, which is not installed") as caught:
        chain().draw(tmp_path / "g.svg")
    assert "cnnc[draw]" in caught.value.hint
    chain().draw(tmp_path / "g.dot")


def test_drawing_is_not_loaded_with_the_ir() -> None:
    heavy = ["igraph", "networkx", "cnnc.ir.drawing"]
    code = f"import sys, cnnc.ir; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"


def test_an_empty_graph() -> None:
    ElementTree.fromstring(svg_text(drawing_of(Graph(OPS))))


def test_networkx_form_is_a_method_too() -> None:
    drawn = chain().to_networkx()
    assert set(drawn.nodes) == {"%layer.x", "%one", "%layer.r", "%s", "%m", "output layer.y", "output z"}


def test_kinds_of_ops() -> None:
    kinds = {op: kind_of(op) for op in OPS}
    assert set(kinds.values()) <= set(COLOURS)
    assert kinds["q_linear_conv"] == kinds["conv"] == "layer"
    assert (kinds["global_average_pool"], kinds["batch_normalization"]) == ("pool", "normalization")
    assert kind_of("their_op") == "other"
    # What has no kind: comparisons, bits, detection, and what makes tensors of nothing.
    assert sum(kind == "other" for kind in kinds.values()) < 40


@pytest.mark.parametrize("wanted", [[], [3.0], [0, 0, 0], [5, 1, 9], [0, 0.5, 7, 7.2, 1], [2, 1, 0, -1]])
def test_places_are_the_nearest_that_keep_order_and_distance(wanted: list[float]) -> None:
    places = spread(wanted)
    assert all(second - first >= 1 - 1e-9 for first, second in itertools.pairwise(places))
    # No neighbour of the answer that keeps the constraint is nearer.
    distance = sum((place - want) ** 2 for place, want in zip(places, wanted, strict=True))
    for low in range(len(places)):
        for high in range(low + 1, len(places) + 1):
            for step in (-1e-3, 1e-3):
                moved = [*places[:low], *(place + step for place in places[low:high]), *places[high:]]
                if all(second - first >= 1 - 1e-9 for first, second in itertools.pairwise(moved)):
                    assert sum((place - want) ** 2 for place, want in zip(moved, wanted, strict=True)) >= distance
