"""``benchmarks/cuda_prediction.py``: tables of predictions, and the page that they stand in."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_layers_that_are_alike_share_a_row() -> None:
    from cuda_prediction import Layer, table

    from cnnc.runtime.cuda.device_facts import A100

    conv = {"op": "conv", "kernels": ("conv.f32.implicit_gemm{rows=8}",), "macs": 10**9, "bound": "float32"}
    layers = [Layer("c1", seconds=3e-4, roofline=2e-4, **conv), Layer("c2", seconds=3e-4, roofline=2e-4, **conv)]
    layers.append(Layer("p", "max_pool", ("pool.blocked",), 0, 2.5e-6, 1e-7, "launch"))
    text = "\n".join(table("net", A100, 1, layers))
    assert "predicted, not measured" in text
    assert "| c1 | 2 | conv.f32.implicit_gemm | 1,000.0 | 300.0 | 200.0 | 67% | float32 |" in text
    assert "c2" not in text
    assert "| steps of less than a launch | 1 | | | 2.5 | 0.1 | 4% | |" in text


def test_tables_replace_those_between_the_marks(tmp_path: Path) -> None:
    from cuda_prediction import BEGIN, END, Layer, page

    layer = Layer("c1", "conv", ("conv.f32.implicit_gemm{rows=8}",), 10**9, 3e-4, 2e-4, "float32")
    (tmp_path / "net-1-A100.json").write_text(json.dumps([asdict(layer)]))
    once = page(f"before\n{BEGIN}\nold\n{END}\nafter\n", tmp_path)
    assert once.startswith("before\n") and once.endswith(f"{END}\nafter\n")
    assert "| net | 1 | A100 | 1 | 0.30 | 3,333 | 0.20 | 67% |" in once
    assert "old" not in once
    assert page(once, tmp_path) == once


def test_the_page_has_the_marks() -> None:
    from cuda_prediction import BEGIN, END

    text = (ROOT / "docs" / "cuda.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
