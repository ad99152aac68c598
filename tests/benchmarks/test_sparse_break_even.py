"""``benchmarks/sparse_break_even.py``: its layers, where lines cross, rows that are kept, and one measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def row(sparsity: float, share: float | None, **changes: Any) -> Any:
    """A row whose only sparse kernel takes ``share`` of the dense time; none for None."""
    import sparse_break_even

    sparse = {} if share is None else {"gemm.f32.sparse_lists": share}
    taken = "gemm.f32" if share is None or share > 1 else "gemm.f32.sparse_lists"
    facts = {"kind": "gemm", "layer": "4096x1000 batch 1", "pattern": "unstructured", "threads": 1}
    facts |= {"sparsity": sparsity, "dense": "gemm.f32", "dense_seconds": 1.0, "sparse_seconds": sparse, "taken": taken}
    return sparse_break_even.Row(**facts | changes)


def test_lines_cross_between_two_points() -> None:
    from sparse_break_even import break_even

    assert break_even([row(0.0, None), row(0.4, 1.2), row(0.6, 0.8), row(0.9, 0.2)]) == pytest.approx(0.5)
    assert break_even([row(0.2, 0.9), row(0.4, 1.1), row(0.6, 0.9)]) == pytest.approx(0.5)  # from there on
    assert break_even([row(0.0, None), row(0.9, 0.5)]) == 0.9
    assert break_even([row(0.0, None), row(0.9, 1.5)]) is None


def test_weights_have_the_pattern() -> None:
    from sparse_break_even import sparse_weights

    weights = sparse_weights((22, 300), 0.75, (4, 1))
    assert np.mean(weights == 0) == pytest.approx(0.75, abs=0.05)
    kept = weights != 0
    assert np.array_equal(kept[:4].all(0), kept[:4].any(0))


def test_rows_are_kept_and_replaced(tmp_path: Path) -> None:
    import sparse_break_even as benchmark

    kept = tmp_path / "rows.json"
    rows = benchmark.merged([row(0.5, 0.9), row(0.9, 0.5)], [row(0.9, 0.3)])
    kept.write_text(json.dumps([benchmark.dataclasses.asdict(item) for item in rows]))
    assert benchmark.load_rows(kept) == rows
    arguments = ["--none", "--rows", str(kept), "--table", str(tmp_path / "table.md")]
    done = CliRunner().invoke(benchmark.main, arguments)
    assert done.exit_code == 0, done.output
    assert "| gemm 4096x1000 batch 1 | 1 | unstructured | 1000000 | 50% | 0.90 lists | 0.30 lists |" in done.output
    assert (tmp_path / "table.md").read_text().splitlines()[-1].endswith("0.30 lists |")


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    import sparse_break_even as benchmark

    benchmark.plot([row(0.0, None), row(0.5, 1.1), row(0.9, 0.3), row(0.9, 0.2, pattern="block4")], tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size > 1000


@pytest.mark.jit
@pytest.mark.parametrize("kind", ["gemm", "gemm int8"])
def test_a_small_layer_is_measured(kind: str) -> None:
    from sparse_break_even import KINDS, measure

    [layer] = [layer for layer in KINDS[kind] if layer.name == "512x10 batch 1"]
    found = measure(kind, layer, "block4", 0.95, 1, 0.0)
    assert found.dense == ("gemm.f32" if kind == "gemm" else "gemm.u8")
    assert any("lists" in name for name in found.sparse_seconds)
    assert min(found.dense_seconds, *found.sparse_seconds.values()) > 0
