"""Facts of layers, memory and sizes. No kernel is compiled."""

from __future__ import annotations

import json

import pytest

import cnnc
from cnnc import dsl, models
from cnnc.report import Report, Settings, collect
from tests.cli.command_line import ROOT

QUICK = Settings(measure=False)
PRUNED = ROOT / "examples" / "models" / "resnet14_fashion-bn-pruned90.onnx"


@pytest.fixture(scope="module")
def squeezenet() -> Report:
    """A network with concats that are written in place."""
    return collect(cnnc.compile(models.model("squeezenet1_1")), QUICK)


@pytest.fixture(scope="module")
def pruned() -> Report:
    """A network of which nine in ten weights are 0."""
    return collect(cnnc.compile(PRUNED), QUICK)


def test_layers_are_the_steps_of_the_program(squeezenet: Report) -> None:
    assert [layer.step for layer in squeezenet.layers] == list(range(squeezenet.summary.steps))
    last = squeezenet.graphs[squeezenet.stages[-1].graph]
    assert {layer.node for layer in squeezenet.layers} <= set(last.nodes)
    for layer in squeezenet.layers:
        assert layer.node is not None
        assert squeezenet.nodes[layer.node].op == layer.op


def test_totals_are_those_of_the_network(squeezenet: Report) -> None:
    [entry] = [entry for entry in models.entries() if entry.name == "squeezenet1_1"]
    assert squeezenet.summary.macs == pytest.approx(entry.macs, rel=1e-3)
    # Weights are packed, some of them transformed: never fewer bytes than the parameters have.
    assert squeezenet.summary.weight_bytes >= 4 * entry.parameters
    assert squeezenet.memory.constant_bytes >= 4 * entry.parameters


def test_bytes_of_a_layer(squeezenet: Report) -> None:
    first = squeezenet.layers[0]
    assert (first.op, first.output_type) == ("conv", "f32[N, 64, 111, 111]@c16")
    assert first.written_bytes == 4 * 64 * 111 * 111
    assert first.read_bytes is not None
    assert first.read_bytes <= 4 * 3 * 224 * 224
    assert first.weight_bytes is not None
    assert first.weight_bytes >= 4 * (64 * 27 + 64)


def test_roofs_are_the_longer_of_computing_and_moving(squeezenet: Report) -> None:
    machine = squeezenet.machine
    for layer in squeezenet.layers:
        assert layer.macs is not None
        assert layer.roof_seconds is not None
        computing = 2 * layer.macs / machine.flops
        assert layer.roof_seconds >= computing
        assert (layer.bound == "compute") == (layer.roof_seconds == computing)


def test_roofs_are_those_of_float32() -> None:
    compiled = cnnc.compile(models.model("lenet5"), target="cuda:sm_80", precision="f16")
    report = collect(compiled, QUICK)
    for layer in report.layers:
        assert (layer.roof_seconds is None) == bool(layer.macs)
    assert ("precision", "f16") in report.model.options


def test_rivals_have_one_that_is_taken(squeezenet: Report) -> None:
    convolutions = [layer for layer in squeezenet.layers if layer.op == "conv"]
    for layer in convolutions:
        assert [rival.kernel for rival in layer.rivals if rival.is_chosen] == [layer.kernel]
        assert layer.refused
        assert all(squeezenet.refused_kernels[number].reason for number in layer.refused)
    assert len(squeezenet.refused_kernels) < sum(len(layer.refused) for layer in convolutions) / 2


def test_memory_plan(squeezenet: Report) -> None:
    memory = squeezenet.memory
    assert memory.reason == ""
    assert memory.live_bytes is not None
    assert memory.arena_bytes is not None
    assert memory.unshared_bytes is not None
    assert memory.live_bytes <= memory.arena_bytes < memory.unshared_bytes
    assert max(buffer.offset + buffer.bytes for buffer in memory.buffers) <= memory.arena_bytes
    assert all(0 <= buffer.first <= buffer.last < len(squeezenet.layers) for buffer in memory.buffers)


def test_open_sizes_are_named(squeezenet: Report) -> None:
    assert squeezenet.model.sizes == (("N", 1),)
    assert squeezenet.summary.seconds is None
    assert squeezenet.summary.seconds_reason == "measuring was left out"


def test_sparsity(pruned: Report) -> None:
    facts = [layer.sparsity for layer in pruned.layers if layer.sparsity is not None]
    assert min(fact.density for fact in facts) < 0.2
    for fact in facts:
        assert (fact.break_even is None) == (fact.pattern == "dense")
    assert all(layer.sparsity is None for layer in pruned.layers if layer.op == "max_pool")


def test_sizes_that_the_model_was_not_made_for_leave_a_reason() -> None:
    """An open size is taken as 224, and a window of 301 does not fit there."""
    network = dsl.model(dsl.Conv2d(1, 8, (1, 301)), ("N", 1, 4, "W"))
    report = collect(cnnc.compile(network))
    assert "W=224" in report.memory.reason
    assert report.memory.arena_bytes is None
    assert report.summary.seconds_reason == report.summary.error_reason == report.memory.reason
    assert all(layer.seconds is None and layer.roof_seconds is None and not layer.macs for layer in report.layers)
    fixed = collect(cnnc.compile(network, shapes={"x": (1, 1, 4, 400)}), QUICK)
    assert fixed.memory.reason == ""


def test_json_is_plain(squeezenet: Report) -> None:
    facts = json.loads(squeezenet.to_json())
    assert set(facts) == set(Report.__dataclass_fields__)
    assert facts["nodes"][facts["layers"][0]["node"]]["op"] == "conv"
    assert "NaN" not in squeezenet.to_json()
