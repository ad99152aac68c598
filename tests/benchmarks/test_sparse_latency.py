"""``benchmarks/sparse_latency.py`` finds the models that pruned ones were made from, and makes its tables of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.test_int8_latency import import_benchmarks as import_benchmarks


def test_table_of_measured_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sparse_latency
    from sidebyside.store import Store

    for name in ("net_1_u90", "net_1_b80", "other"):
        (tmp_path / f"{name}.onnx").touch()
    (tmp_path / "net_1.onnx").touch()
    store = Store(tmp_path / "store")
    milliseconds = {"cnnc": 2.0, "onnxruntime": 9.0, "openvino": 6.0, "cnnc dense": 5.0}
    section = {
        "medians": {engine: [value / 1e3, value / 1e3] for engine, value in milliseconds.items()},
        "versions": dict.fromkeys(milliseconds, "1.2"),
        "failed": {},
        "is_free": True,
        "asked": ["cnnc", "onnxruntime", "openvino"],
    }
    store.write("net_1_u90", "latency/1", section)
    folders = ["--sparse-folder", str(tmp_path), "--dense-folder", str(tmp_path)]
    options = [*folders, "--store", str(store.folder), "--budget", "-1", "--threads", "1"]
    assert sparse_latency.main(options) == 0
    told = capsys.readouterr()
    assert (
        "| model | onnxruntime ms | OpenVINO ms | cnnc ms | faster peer / cnnc | cnnc dense ms | dense / sparse |"
        in told.out
    )
    assert "| net_1_u90 | 9.00 | 6.00 | 2.00 | **3.00** (3.00 .. 3.00) | 5.00 | **2.50** (2.50 .. 2.50) |" in told.out
    assert "1 measurements are left" in told.err  # net_1_b80; the others are not pruned
    assert str(tmp_path) not in told.out
