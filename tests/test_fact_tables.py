"""What notebooks and terminals show of graphs, models, passes and types: structure, escaping, sizes."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

import cnnc
from cnnc import dsl, models
from cnnc.compiler import CompiledModel
from cnnc.dims import symbol
from cnnc.fact_table import MOST_OPEN_ROWS, MOST_ROWS, FactTable
from cnnc.ir import Graph
from cnnc.ir.display import MOST_DRAWN_NODES
from cnnc.ops import OPS
from cnnc.types import DType, TensorType

LENET = Path(__file__).resolve().parents[1] / "examples" / "models" / "lenet5_fashion.onnx"
HOSTILE = "<script>alert(1)</script>[bold]\N{SNOWMAN}"
VOID = {"img"}


class Structure(HTMLParser):
    """Tags of a page, and its texts; every tag must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.images: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.images += [value or "" for name, value in attrs if name == "src"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def lenet() -> CompiledModel:
    return cnnc.compile(LENET)


@pytest.fixture(scope="module")
def shown(lenet: CompiledModel) -> dict[str, Any]:
    return {
        "graph": lenet.graph,
        "compiled": lenet,
        "history": lenet.history,
        "notes": lenet.notes,
        "report": lenet.history.reports[0],
        "explanation": cnnc.explain(lenet),
        "node": cnnc.explain(lenet).nodes[0],
        "model": models.model("lenet5"),
    }


KINDS = ("graph", "compiled", "history", "notes", "report", "explanation", "node", "model")


@pytest.mark.parametrize("kind", KINDS)
def test_notebooks_get_a_table_that_folds(shown: dict[str, Any], kind: str) -> None:
    item = shown[kind]
    table = item.fact_table()
    page = Structure(item._repr_html_())
    assert page.tags[:2] == ["details", "summary"]
    assert page.texts[0] == table.title
    assert page.tags.count("tr") == 1 + len(table.rows)
    assert not {"script", "link", "style", "iframe"} & set(page.tags)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.images)


@pytest.mark.parametrize("kind", KINDS)
def test_terminals_get_the_same_table(shown: dict[str, Any], kind: str) -> None:
    item = shown[kind]
    console = Console(file=io.StringIO(), width=300)
    console.print(item)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    for row in item.fact_table().rows:
        assert all(line in printed for cell in row for line in cell.split("\n"))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("graph", r"Graph\('main_graph', placed, 9 nodes: input f32\[N, 1, 28, 28\] -> logits f32\[N, 10\]\)"),
        ("compiled", r"CompiledModel\('main_graph', -O2, cpu, 8 steps\)"),
        ("notes", r"Notes\(5 rewrites, 1 refused\)"),
        ("explanation", r"Explanation\('main_graph', -O2, cpu, 9 nodes\)"),
        ("model", r"Model\('lenet5', x f32\[N, 1, 28, 28\]: 61,706 parameters\)"),
    ],
)
def test_one_line(shown: dict[str, Any], kind: str, text: str) -> None:
    assert re.fullmatch(text, repr(shown[kind])), repr(shown[kind])


def test_names_are_text() -> None:
    graph = Graph(OPS, HOSTILE)
    x = graph.add_input(HOSTILE, TensorType((1, 2), DType.F32))
    graph.set_outputs([graph.add_node("relu", [x], loc=(HOSTILE,)).output], [HOSTILE])
    page = Structure(graph._repr_html_())
    assert "script" not in page.tags
    assert HOSTILE in page.texts
    console = Console(file=io.StringIO(), width=300)
    console.print(graph)
    assert HOSTILE in console.file.getvalue()  # type: ignore[attr-defined]


def test_small_graphs_are_drawn_and_large_ones_are_not(lenet: CompiledModel) -> None:
    [source] = Structure(lenet.graph._repr_html_()).images
    drawing = base64.b64decode(source.partition(",")[2]).decode()
    assert drawing == lenet.graph._repr_svg_()
    ElementTree.fromstring(drawing)
    large = models.model("resnet50", init=dsl.zeros).graph()
    assert len(large) > MOST_DRAWN_NODES
    assert large._repr_svg_() is None
    assert Structure(large._repr_html_()).images == []


@pytest.mark.parametrize("count", [0, 1, MOST_OPEN_ROWS, MOST_OPEN_ROWS + 1, MOST_ROWS, MOST_ROWS + 7])
def test_long_tables_are_folded_and_cut(count: int) -> None:
    table = FactTable("t", ("a", "b"), tuple((str(row), "&") for row in range(count)))
    text = table.html()
    assert ("<details open>" in text) == (count <= MOST_OPEN_ROWS)
    assert Structure(text).tags.count("tr") == 1 + min(count, MOST_ROWS)
    assert ("and 7 more" in text) == (count > MOST_ROWS)
    assert table.rich().row_count == min(count, MOST_ROWS)


def test_types_are_code() -> None:
    type = TensorType((symbol("N"), 3), DType.F32)
    assert type._repr_html_() == "<code>f32[N, 3]</code>"


def test_ipython_takes_what_it_is_offered(lenet: CompiledModel) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(lenet.graph)
    assert {"text/plain", "text/html", "image/svg+xml"} <= data.keys()
    assert data["text/plain"] == repr(lenet.graph)
    [picture] = cnnc.view.kernels(lenet.source_graph(), ["c1"])
    data, _ = formatters.DisplayFormatter().format(picture)
    assert "image/png" in data


def test_models_do_not_print_their_weights() -> None:
    model = dsl.model(dsl.Linear(2, 3), {"x": ("N", 2)})
    model.set(next(iter(model.parameters)), np.zeros((3, 2), np.float32))
    assert "array" not in repr(model)
