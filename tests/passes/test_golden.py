"""Golden tests: ``tests/golden/<pass>/<case>.ir`` holds a graph, a line ``---``, and the graph after the pass.

A first line ``# pass: name{option=1}`` gives options, or another pipeline than the folder's name. For every case this
also checks what each pass owes: the verifier holds, results stay (exactly, or within rounding in float64), a second run
changes nothing, outputs keep names and types. ``pytest --update-golden`` rewrites the second halves.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnc.ir import Notes
from cnnc.ir.text import print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS
from cnnc.passes import ALL_PASSES, PassManager, parse_pipeline

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES = sorted(GOLDEN.glob("*/*.ir"))
SEPARATOR = "---\n"


@pytest.mark.parametrize("path", CASES, ids=[f"{path.parent.name}/{path.stem}" for path in CASES])
def test_golden(path: Path, request: pytest.FixtureRequest) -> None:
    before, _, expected = path.read_text(encoding="utf-8").partition(SEPARATOR)
    first = before.split("\n", 1)[0]
    pipeline = parse_pipeline(first.removeprefix("# pass:") if first.startswith("# pass:") else path.parent.name)
    graph = parse_graph(before, OPS)
    signature = [(name, value.type) for name, value in zip(graph.output_names, graph.outputs)]
    manager = PassManager(pipeline, verify_level=2, check=True)
    reports = manager.run(graph, Notes())
    after = print_graph(graph)
    assert [(name, value.type) for name, value in zip(graph.output_names, graph.outputs)] == signature
    changed = any(report.changed for report in reports)
    assert changed or print_graph(parse_graph(before, OPS)).split("\n", 1)[1] == after.split("\n", 1)[1]
    if graph.stage != "placed":  # layouts are assigned once
        assert not any(report.changed for report in manager.run(graph, Notes()))
    if request.config.getoption("--update-golden"):
        path.write_text(f"{before}{SEPARATOR}{after}", encoding="utf-8")
        return
    assert after == expected


def test_every_folder_has_a_case_that_fires_and_one_that_refuses() -> None:
    fires: set[str] = set()
    refuses: set[str] = set()
    for path in CASES:
        before, _, after = path.read_text(encoding="utf-8").partition(SEPARATOR)
        same = print_graph(parse_graph(before, OPS)).split("\n")[1:] == after.split("\n")[1:]
        (refuses if same else fires).add(path.parent.name)
    assert fires == refuses <= set(ALL_PASSES)


def test_every_pass_has_golden_cases() -> None:
    # mark-optimised changes nothing but the stage.
    assert set(ALL_PASSES) - {"mark-optimised"} == {path.parent.name for path in CASES}
