"""The tables of ``benchmarks/int8_latency.py`` are made from stored measurements; what is missing is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def section(**milliseconds: float) -> dict[str, Any]:
    names = {"exact": "cnnc float32"}
    medians = {names.get(engine, engine): [value / 1e3] * 3 for engine, value in milliseconds.items()}
    versions = dict.fromkeys(medians, "1.2")
    asked = ["cnnc", "onnxruntime", "openvino"]
    return {"medians": medians, "versions": versions, "failed": {}, "is_free": True, "asked": asked}


def test_measured_models_are_not_measured_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import int8_latency
    from sidebyside.store import Store

    for name in ("big", "small"):
        (tmp_path / f"{name}_int8.onnx").touch()
    store = Store(tmp_path / "store")
    store.write("big", "latency/1", section(cnnc=4, onnxruntime=8, openvino=6, exact=12))
    store.write("small", "latency/1", section(cnnc=2, onnxruntime=3))
    options = ["--int8-folder", str(tmp_path), "--store", str(store.folder)]
    assert int8_latency.main([*options, "--threads", "1"]) == 0
    text = capsys.readouterr().out
    assert "| big | 8.00 | 6.00 | 4.00 | **1.50** (1.50 .. 1.50) | 12.0 | **3.00** (3.00 .. 3.00) |" in text
    assert "| small | 3.00 |  | 2.00 | **1.50** (1.50 .. 1.50) |  |  |" in text
    assert "geometric mean 1.50 over 2, lowest 1.50. float32 / int8: geometric mean 3.00 over 1" in text
    assert str(tmp_path) not in text
    assert int8_latency.main([*options, "--threads", "1", "2", "--budget", "-1"]) == 0
    assert "2 measurements are left" in capsys.readouterr().err
