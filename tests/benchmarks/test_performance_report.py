"""The page of ``benchmarks/performance.py`` is made from stored measurements alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def engine(*milliseconds: float) -> dict[str, Any]:
    seconds = [value / 1e3 for value in milliseconds]
    facts = {"medians": seconds, "means": seconds, "p50": seconds[0], "p99": max(seconds), "runs": len(seconds)}
    return {**facts, "version": "1.2", "error": 1e-6}


def speed(**engines: dict[str, Any]) -> dict[str, Any]:
    facts = {"failed": {"ncnn": "it cannot"}, "dropped": 0, "is_free": True}
    return {"engines": engines, **facts, "asked": list(engines), "command": COMMAND}


COMMAND = "python benchmarks/performance.py --models-folder MODELS --only latency"
LIMITS = {"peak_flops": 1e11, "bytes_per_second": {"L1": 2e11, "DRAM": 2e10}, "cache_bytes": {"L1": 32768}}
MACHINE = {"cpu": "CPU", "target": "v4", "cores": 2, "system": "Linux", "python": "3.12", "cnnc": "0", "date": "today"}
MACHINE |= {"limits": LIMITS}
LAYERS = {
    "command": "python benchmarks/performance.py --models-folder MODELS --only layers",
    "seconds": 2e-3,
    "layers": [
        {"op": "conv", "seconds": 1.5e-3, "macs": 10**8, "bytes": 10**6, "gflops": 66.7},
        {"op": "max_pool", "seconds": 5e-4, "macs": 0, "bytes": 10**6, "gflops": 0.0},
    ],
}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    from sidebyside.store import MACHINE as NAME
    from sidebyside.store import Store

    made = Store(tmp_path / "store")
    made.write(NAME, "machine", MACHINE)
    made.write("net", "latency/1", speed(cnnc=engine(2, 4, 2), onnxruntime=engine(4, 4, 8), mnn=engine(3, 3, 3)))
    made.write("net", "layers", LAYERS)
    made.write("other", "latency/1", speed(cnnc=engine(1), openvino=engine(8)))
    return made


def test_ratios_are_of_the_fastest_peer(store: Any, tmp_path: Path) -> None:
    from sidebyside.report import write_report

    write_report(store, tmp_path / "page.md", None)
    text = (tmp_path / "page.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith("| net | 2.00 |")]
    assert "**2.00** (1.00 .. 4.00) | **1.50** (0.75 .. 1.50)" in row
    # Geometric means of 2 and 8, and of 1.5 and 8.
    assert "onnxruntime and OpenVINO: geometric mean 4.00 over 2 models, lowest 2.00" in text
    assert "fastest of all: geometric mean 3.46 over 2 models, lowest 1.50" in text
    assert "- net, ncnn: it cannot" in text
    assert "## Batches" not in text


def test_each_table_names_its_commands(store: Any, tmp_path: Path) -> None:
    from sidebyside.report import write_report

    again = {**store.read("other")["latency/1"], "command": f"{COMMAND} --models other"}
    store.write("other", "latency/1", again)
    write_report(store, tmp_path / "page.md", tmp_path / "page-roofline.png")
    before, latency = (tmp_path / "page.md").read_text().split("## One run after the other, 1 thread\n\n")
    assert latency.startswith(f"    {COMMAND}\n    {COMMAND} --models other\n\n| model |")
    assert COMMAND not in before
    assert f"## Rooflines\n\n    {LAYERS['command']}\n\nOne thread" in latency


def test_commands_are_shown_without_folders_of_the_machine() -> None:
    import performance

    words = ["--models-folder", "/a/b", "--only", "latency", "start", "--store=/c", "--out", "/d/e.md", "--again"]
    arguments = performance._parse(words)
    assert (arguments.store, arguments.out) == (Path("/c"), Path("/d/e.md"))
    assert arguments.command == ("python benchmarks/performance.py --models-folder MODELS --only latency start --again")
    assert performance._parse(["--models-folder=/a"]).command.endswith(".py --models-folder MODELS")


def test_sections_are_added_one_by_one(store: Any) -> None:
    assert list(store.read("net")) == ["latency/1", "layers"]
    assert store.models() == ["net", "other"]
    assert store.read("absent") == {}
    assert json.loads((store.folder / "net.json").read_text())["layers"] == LAYERS


def test_plot(store: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from sidebyside.roofline import plot_rooflines

    png = plot_rooflines(store, tmp_path / "page")
    assert png == tmp_path / "page-roofline.png"
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in png.with_suffix(".svg").read_text()
