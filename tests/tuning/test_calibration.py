"""The machine's rates: measured on request, kept, and forgotten; what costs are made of them."""

import dataclasses

import numpy as np
import pytest

from cnnc.compiler import optimise_graph
from cnnc.ir import Graph, Notes
from cnnc.lower import ProgramBuilder
from cnnc.lower.cost import predicted_seconds
from cnnc.lower.rules import Offer, Offers, TiledRule
from cnnc.ops import OPS
from cnnc.ops.linear import GemmAttrs
from cnnc.options import Options
from cnnc.runtime.cpu.machine import USUAL_MACHINE
from cnnc.runtime.jit.cache import cache_folder
from cnnc.runtime.jit.target import x86_target
from cnnc.tuning.calibration import calibrate, calibrated_machine, forget, known_machine
from cnnc.types import DType, TensorType
from tests.cli.command_line import answer, done

TARGET = x86_target("avx512")


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.jit
def test_calibration_is_kept_until_it_is_forgotten():
    assert known_machine() == USUAL_MACHINE
    measured = calibrate()
    assert known_machine() == calibrated_machine() == measured
    assert all(value > 0 for value in dataclasses.astuple(measured))
    forget()
    assert calibrated_machine() is None
    forget()


@pytest.mark.jit
def test_command():
    told = answer("calibrate", "--json")
    assert told["machine"] == dataclasses.asdict(known_machine())
    assert told["usual"] == dataclasses.asdict(USUAL_MACHINE)
    assert "usual machine" in done("calibrate", "--forget")
    assert calibrated_machine() is None


@pytest.mark.jit
@pytest.mark.parametrize("damage", ["", "{", "[]", '{"version": 1}', '{"version": 0}'])
def test_damaged_calibration_counts_as_none(damage):
    calibrate()
    [path] = cache_folder().glob("machine-*.json")
    path.write_text(damage)
    assert known_machine() == USUAL_MACHINE


def test_bandwidth_is_that_of_the_smallest_cache_with_room_for_twice_the_data():
    machine = USUAL_MACHINE
    assert machine.bandwidth(machine.l2_bytes // 2) == machine.l2_bandwidth
    assert machine.bandwidth(machine.l2_bytes) == machine.l3_bandwidth
    assert machine.bandwidth(machine.l3_bytes) == machine.memory_bandwidth


def test_large_weights_cost_their_way_from_memory():
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((1, 4096), DType.F32))
    w = graph.add_constant(np.zeros((4096, 4096), np.float32), "w")
    graph.set_outputs([graph.add_node("gemm", [x, w], GemmAttrs(), names=("y",)).output], ["y"])
    optimise_graph(graph, Options(), Notes(), target=TARGET)
    [node] = [node for node in graph.nodes if node.op == "gemm"]
    reading = 4096 * 4096 * 4 / USUAL_MACHINE.memory_bandwidth
    assert predicted_seconds(node, 0.0, ProgramBuilder(graph, TARGET)) == pytest.approx(reading, rel=0.01)
    # Multiply-adds that take as long are hidden in part, and a faster memory shows.
    fmas = reading / USUAL_MACHINE.fma_seconds(16)
    assert reading < predicted_seconds(node, fmas, ProgramBuilder(graph, TARGET)) < 2 * reading
    fast = dataclasses.replace(USUAL_MACHINE, memory_bandwidth=10 * USUAL_MACHINE.memory_bandwidth)
    assert predicted_seconds(node, 0.0, ProgramBuilder(graph, TARGET, machine=fast)) < reading / 5


def offer(cost, insisted=False):
    rule = TiledRule("rule", int, lambda *given: None, lambda *given: [(cost, 1)], lambda *given: None)
    return Offer(rule, 1, cost, insisted)


def test_a_later_rule_is_taken_where_it_is_clearly_cheaper():
    first, close, cheap, forced = offer(1e6), offer(0.96e6), offer(0.5e6), offer(9e6, insisted=True)
    assert Offers((first, close), None, ()).best is first
    assert Offers((offer(1e3), offer(1e2)), None, ()).best.cost == 1e3  # another kernel to compile for next to nothing
    assert Offers((first, close, cheap), None, ()).best is cheap
    assert Offers((first, cheap, forced), None, ()).best is forced
