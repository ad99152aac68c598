"""``cnnc verify`` finds differences and where they begin; ``cnnc bench`` measures in turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnc.cli import onnxruntime_reference
from cnnc.cli.bench import EngineResult
from cnnc.cli.engine_worker import slice_times
from cnnc.compiler import CompiledModel
from tests.cli.command_line import IMAGE, LENET, answer, cnnc, done

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.jit


def test_agrees() -> None:
    told = answer("verify", LENET, "--json")
    [check] = told["checks"]
    assert told["ok"]
    assert check["name"] == "logits"
    assert 0 < check["max_error"] < 1e-5
    assert "agrees at -O2 on random inputs, seed 5" in done("verify", LENET, "--seed", 5)
    assert "given inputs" in done("verify", LENET, "--input", IMAGE)


def test_exact() -> None:
    told = answer("verify", LENET, "--exact", "-O0", "--json")
    assert told["checks"][0]["limit"] == 1e-4
    assert told["checks"][0]["max_error"] < 1e-5
    alone = answer("verify", LENET, "--exact", "-O0", "--no-onnxruntime", "--json")
    assert alone["checks"][0]["max_error"] == told["checks"][0]["max_error"]


def test_same_seed_same_errors() -> None:
    assert answer("verify", LENET, "--seed", 3, "--json") == answer("verify", LENET, "--seed", 3, "--json")


def test_mismatch_ends_with_1() -> None:
    result = cnnc("verify", LENET, "--limit", "1e-9")
    assert result.exit_code == 1
    assert "above 1.0e-09" in result.output
    assert "1 of 1 outputs are off" in result.output
    assert "--layers" in result.output


BENT = ("/Relu_1_output_0", "/Relu_2_output_0", "logits")


def bend(results: dict[str, Any]) -> dict[str, Any]:
    """Results that are wrong from the second convolution on."""
    return {name: array + np.float32(0.5) * (name in BENT) for name, array in results.items()}


def test_layers_finds_the_first_that_drifts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer("verify", LENET, "--layers", "--json")["ok"]
    honest: Callable[..., dict[str, Any]] = CompiledModel.run
    monkeypatch.setattr(CompiledModel, "run", lambda *arguments, **options: bend(honest(*arguments, **options)))
    result = cnnc("verify", LENET, "--layers")
    assert result.exit_code == 1
    assert "the first to drift is '/Relu_1_output_0'" in result.output
    assert cnnc("verify", LENET).exit_code == 1


@pytest.mark.parametrize("layers", [[], ["--layers"]])
def test_float64_outvotes_a_wrong_onnxruntime(monkeypatch: pytest.MonkeyPatch, layers: list[str]) -> None:
    honest: Callable[..., dict[str, Any]] = onnxruntime_reference.reference_results

    def bent(*arguments: Any, **options: Any) -> dict[str, Any]:
        return bend(honest(*arguments, **options))

    monkeypatch.setattr(onnxruntime_reference, "reference_results", bent)
    told = answer("verify", LENET, *layers, "--json")
    assert told["ok"]
    assert all(check["max_error"] < 1e-5 for check in told["checks"])
    assert cnnc("verify", LENET, "--limit", "1e-3", *layers).exit_code == 1


def test_bench_report(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    text = done("bench", LENET, "--against", "onnxruntime", "--rounds", 3, "--slice", 0.002, "--json", out, "--profile")
    report = json.loads(out.read_text())
    ours, theirs = report["results"]
    assert (ours["engine"], theirs["engine"]) == ("cnnc", "onnxruntime")
    assert ours["ratio"] == 1.0
    assert theirs["ratio"] == pytest.approx(theirs["median_ms"] / ours["median_ms"])
    assert theirs["ratio_min"] <= theirs["ratio_max"]
    assert len(theirs["rounds_ms"]) == 3
    assert report["inputs"] == {"input": [1, 1, 28, 28]}
    layers = report["profile"]["layers"]
    assert sum(layer["macs"] for layer in layers) == 416520
    assert all(layer["share_of_peak"] < 1.5 for layer in layers)
    assert "/c1/Conv" in text
    assert "of peak" in text


def test_bench_prints_json() -> None:
    report = answer("bench", LENET, "--rounds", 1, "--slice", 0.001, "--json", "-")
    assert [row["engine"] for row in report["results"]] == ["cnnc"]


def test_engine_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cnnc.cli.model_options.load_graph", _graph_of_lenet)
    other = tmp_path / "other.onnx"
    other.write_bytes(b"\x08\x07garbage")
    result = cnnc("bench", other, "--against", "onnxruntime", "--rounds", 1)
    assert result.exit_code == 2
    assert "onnxruntime cannot run it" in result.output


def _graph_of_lenet(*arguments: Any) -> Any:
    from cnnc.frontends import import_onnx

    return import_onnx(LENET)


def test_ratio_is_of_medians_and_spread_is_of_rounds() -> None:
    base = EngineResult("cnnc", "", 1, 0.0, (1.0, 2.0, 4.0))
    peer = EngineResult("peer", "", 1, 0.0, (2.0, 2.0, 12.0))
    assert peer.ratio(base) == (1.0, 1.0, 3.0)


def test_a_slice_warms_up_and_runs_at_least_once() -> None:
    calls: list[int] = []
    assert len(slice_times(lambda: calls.append(1), 0.0)) == 1
    assert len(calls) == 2


def test_peak_is_plausible() -> None:
    from cnnc.tuning.machine_peak import MachinePeak

    assert 1e9 < MachinePeak().flops() < 1e12
