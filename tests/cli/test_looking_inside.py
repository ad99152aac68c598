"""inspect, explain, opt, passes, and what compile prints on request: no kernel is compiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc import model_tuning
from cnnc.ir import Graph
from cnnc.ir.text_file import save_graph
from cnnc.ops import OPS
from cnnc.passes import ALL_PASSES, PIPELINE
from cnnc.tuning import Environment, Tuning
from cnnc.types import DType, TensorType
from tests.cli.command_line import LENET, answer, cnnc, done
from tests.lower.test_channel_ranges import concat, conv
from tests.tuning.stopwatches import FakeStopwatch, last_is_fastest


def test_inspect_totals() -> None:
    report = answer("inspect", LENET, "--json")
    totals = report["totals"]
    # 6 * 25 + 6, 16 * 150 + 16, 120 * 400 + 120, 84 * 120 + 84, 10 * 84 + 10
    assert totals["parameters"] == 156 + 2416 + 48120 + 10164 + 850
    assert totals["macs"] == 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    assert totals["parameter_bytes"] == 4 * totals["parameters"]
    # Peak: the first convolution's output and the activation of it.
    assert totals["peak_bytes"] == 2 * 4 * 6 * 28 * 28
    assert totals["sizes"] == {"N": 1}
    assert [layer["field"] for layer in report["layers"][:6]] == ["5", "5", "6", "14", "14", "16"]


def test_inspect_with_a_shape_scales_with_the_batch() -> None:
    one = answer("inspect", LENET, "--json")["totals"]
    three = answer("inspect", LENET, "--shape", "input=3,1,28,28", "--json")["totals"]
    assert three["macs"] == 3 * one["macs"]
    assert three["parameters"] == one["parameters"]
    assert three["sizes"] == {}


def test_inspect_table() -> None:
    text = done("inspect", LENET)
    assert "/c1/Conv" in text
    assert "total" in text
    assert "open sizes are taken as N=1" in text


def test_explain() -> None:
    report = answer("explain", LENET, "--json")
    first = report["nodes"][0]
    assert first["origins"] == [{"name": "/c1/Conv", "op": "conv"}, {"name": "/Relu", "op": "relu"}]
    assert first["kernel"].startswith("conv")
    assert all(item["reason"] for node in report["nodes"] for item in node["refused"])
    assert [item["rule"] for item in report["rewrites"]].count("fuse-conv-activation") == 4
    assert "nothing runs on the host" in done("explain", LENET)


def test_explain_elements_of_blocked_tensors(tmp_path) -> None:
    graph, rng = Graph(OPS), np.random.default_rng(0)
    x = graph.add_input("x", TensorType((1, 3, 8, 8), DType.F32))
    joined = concat(graph, [conv(graph, x, 16, rng), conv(graph, x, 16, rng)])
    graph.set_outputs([graph.add_node("mul", [joined, joined], OPS["mul"].attrs()).output], ["y"])
    save_graph(graph, tmp_path / "net.ir")
    kernels = {node["op"]: node["kernel"] for node in answer("explain", tmp_path / "net.ir", "--json")["nodes"]}
    assert kernels["mul"] == "elementwise.tape"


def test_explain_one_node() -> None:
    names = {node["node"] for node in answer("explain", LENET, "--node", "c2", "--json")["nodes"]}
    assert names == {"/c2/Conv"}
    text = done("explain", LENET, "--node", "c2")
    assert "from      conv /c2/Conv + relu /Relu_1" in text
    assert "rewrite   fuse-conv-activation: /c2/Conv, /Relu_1" in text
    assert "rival     conv.f32.blocked." in text
    assert "conv.bf16.blocked.pointwise, conv.bf16.blocked.direct: the precision is f32" in text


def test_explain_of_no_node_names_near_ones() -> None:
    result = cnnc("explain", LENET, "--node", "c2/Cnov")
    assert result.exit_code == 2
    assert "no node of the program has 'c2/Cnov' in it" in result.stderr
    assert "did you mean '/c2/Conv'" in result.stderr


def test_explain_shows_what_was_measured(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(model_tuning, "KernelStopwatch", lambda *arguments, **options: FakeStopwatch(last_is_fastest))
    tuning = tmp_path / "tuning.json"
    assert "conv.f32.blocked.plain_winograd" in done("tune", LENET, "-o", tuning)
    nodes = answer("explain", LENET, "-O", 3, "--tuning", tuning, "--json")["nodes"]
    measured = {node["op"]: node["candidates"] for node in nodes if node["candidates"]}
    assert measured.keys() == {"conv", "gemm"}
    for items in measured.values():
        assert all(item["predicted_seconds"] > 0 and item["measured_seconds"] > 0 for item in items)
        assert [item["is_chosen"] for item in items] == [False] * (len(items) - 1) + [True]
    assert "taken" in done("explain", LENET, "-O", 3)  # from the cache
    predicted = [item for node in answer("explain", LENET, "--json")["nodes"] for item in node["candidates"]]
    assert predicted
    assert all(item["measured_seconds"] is None for item in predicted)


def test_tuning_that_is_no_file_or_not_for_this_level(tmp_path) -> None:
    path = tmp_path / "tuning.json"
    result = cnnc("explain", LENET, "-O", 3, "--tuning", path)
    assert result.exit_code == 2
    assert "tuning.json" in result.stderr
    path.write_text(Tuning(Environment("", "", 1, ""), {}).to_json())
    result = cnnc("explain", LENET, "--tuning", path)
    assert result.exit_code == 2
    assert "use level 3" in result.stderr


def test_explain_leaves_out_refusals_of_what_was_done_in_the_end() -> None:
    report = answer("explain", LENET.with_name("resnet14_fashion-bn.onnx"), "--json")
    fused = {origin["name"] for node in report["nodes"] for origin in node["origins"][1:]}
    refused = {item["node"] for item in report["refused_rewrites"] if item["rule"] == "fuse-conv-residual"}
    assert [item["rule"] for item in report["rewrites"]].count("fuse-conv-residual") > 0
    assert not refused & fused


def test_passes_lists_all() -> None:
    told = answer("passes", "--json")
    assert [row["name"] for row in told["passes"]] == list(ALL_PASSES)
    assert all(row["what"] for row in told["passes"])
    assert [row["why"] for row in told["pipeline"]] == [why for _, _, why in PIPELINE]
    assert "why here" in done("passes")


def test_passes_describes_one() -> None:
    text = done("passes", "assign-layouts")
    assert "Before:" in text
    assert "option block=16" in text


def test_opt_writes_a_graph_that_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "graph.ir"
    done("opt", LENET, "-p", "fold-constants,eliminate-no-ops", "-o", path)
    assert path.with_suffix(".npz").exists()
    text = done("opt", path)
    assert path.read_text().rstrip() == text.rstrip()
    done("opt", LENET, "-O1", "-o", path)
    # The level's pipeline in two halves gives what it gives in one.
    assert done("opt", LENET, "-O1").rstrip() == path.read_text().rstrip()


def test_opt_with_a_rewrite_limit() -> None:
    result = cnnc("opt", LENET, "-p", "fuse-conv-activation", "--rewrite-limit", 2)
    assert result.exit_code == 0
    assert result.stdout.count("activation=") == 2
    assert "12 -> 10 nodes" in result.stderr


def test_opt_on_text_with_a_bounded_pass(tmp_path: Path) -> None:
    path = tmp_path / "graph.ir"
    done("opt", LENET, "-o", path)
    text = done("opt", path, "-p", "fold-batch-norm,fuse-conv-activation{max=2}")
    assert text.count("activation=") == 2


def test_opt_checks_passes() -> None:
    done("opt", LENET, "-O1", "--check-passes")


def test_print_after_and_stop_after() -> None:
    text = done("compile", LENET, "--print-after", "all", "--stop-after", "fuse-conv-activation")
    assert "// after canonicalize-reshape" in text
    assert text.count("// after fuse-conv-activation") == 1
    assert "assign-layouts" not in text


def test_emit() -> None:
    assert "stage=placed" in done("compile", LENET, "--emit", "ir")
    program = done("compile", LENET, "--emit", "program")
    assert "input 'input'" in program
    assert "step 0 conv" in program
    assert "conv.f32.blocked.plain_input{" in program


@pytest.mark.parametrize("suffix", [".cnnc", ".ir"])
def test_emit_writes_nothing(tmp_path: Path, suffix: str) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(LENET.read_bytes())
    done("compile", model, "--emit", "ir")
    assert not model.with_suffix(suffix).exists()
