"""Candidates are measured once a layer, and the fastest is kept if it wins by more than the noise."""

import numpy as np
import pytest

from cnnc import interp
from cnnc.compiler import optimise_graph
from cnnc.dims import symbol
from cnnc.ir import Graph, Notes
from cnnc.lower import lower
from cnnc.lower.selection import Selection
from cnnc.ops import OPS
from cnnc.ops.conv import ConvAttrs
from cnnc.options import Options
from cnnc.runtime.executor import Executor
from cnnc.runtime.jit.target import host_target
from cnnc.tuning import KernelStopwatch
from cnnc.tuning.search import CANDIDATES, fastest, layers_of, measure_layers
from cnnc.types import DType, TensorType
from tests.tuning.stopwatches import FakeStopwatch, last_is_fastest

TARGET = host_target()


def network(batch=1, size=12):
    """Three convolutions in a row; the second and third are equal layers, the first is pointwise."""
    rng = np.random.default_rng(0)
    graph = Graph(OPS)
    value = graph.add_input("x", TensorType((batch, 32, size, size), DType.F32))
    for number, window in enumerate((1, 3, 3)):
        w = graph.add_constant(rng.standard_normal((32, 32, window, window)).astype(np.float32) / 17, f"w{number}")
        attrs = ConvAttrs(pads=(window // 2,) * 4)
        value = graph.add_node("conv", [value, w], attrs, names=(f"y{number}",)).output
    graph.set_outputs([value], ["y"])
    return graph


def placed(graph):
    optimise_graph(graph, Options(), Notes(), target=TARGET)
    return graph


def test_fastest_beats_the_first_by_more_than_noise():
    assert fastest([[1.0, 0.9], [1.0, 0.9]]) == 1
    assert fastest([[1.0, 0.98], [1.0, 0.98]]) == 0
    assert fastest([[1.0, 1.2, 0.9, 0.8]]) == 3
    # The machine became slower after the first round: within rounds the second program is never faster.
    assert fastest([[1.0, 1.1], [2.0, 2.2], [2.0, 2.2]]) == 0
    # A few lucky rounds are no evidence, even if they are the most.
    assert fastest([[1.0, 0.1], [1.0, 1.0], [1.0, 1.0]]) == 0
    assert fastest([[1.0, 0.5]] * 3 + [[1.0, 1.1]] * 2) == 0
    assert fastest([[1.0, 0.5]] * 3 + [[1.0, 1.1]]) == 1


def test_equal_layers_are_measured_once():
    graph = placed(network())
    layers = layers_of(graph, TARGET)
    stopwatch = FakeStopwatch(last_is_fastest)
    measured = measure_layers(layers, TARGET, stopwatch)
    assert stopwatch.layers == len(measured) == len(layers) == 2
    for timing in measured.values():
        assert timing.chosen == len(timing.candidates) - 1
        assert timing.seconds == pytest.approx([1.5e-3 / (1 + index) for index in range(len(timing.seconds))])


def test_every_kernel_is_compiled_before_it_is_timed():
    layers = layers_of(placed(network()), TARGET)
    stopwatch = FakeStopwatch(last_is_fastest)
    measured = measure_layers(layers, TARGET, stopwatch)
    lowered = lower(placed(network()), TARGET, Selection(measured))
    convolutions = [variant for variant in lowered.program.variants() if variant.kernel.startswith("conv.")]
    assert set(convolutions) <= set(stopwatch.variants)
    assert all(decision.timing for decision in lowered.decisions if decision.op == "conv")


def test_slower_candidates_change_nothing():
    graph = placed(network())
    stopwatch = FakeStopwatch(lambda candidate, position: 1e-3 * (1 + position))
    measured = measure_layers(layers_of(graph, TARGET), TARGET, stopwatch)
    assert all(timing.chosen == 0 for timing in measured.values())
    assert lower(graph, TARGET, Selection(measured)).program == lower(graph, TARGET).program


def test_symbolic_sizes_are_measured_as_typical_ones():
    fixed, symbolic = (placed(network(*sizes)) for sizes in ((1, 64), (symbol("N"), symbol("H"))))
    assert layers_of(symbolic, TARGET).keys() == layers_of(fixed, TARGET).keys()


@pytest.mark.parametrize("size", [symbol("H") - 100, symbol("H") - 62])
def test_maps_too_small_at_typical_sizes_are_left_out(size):
    """Open sizes count as 64: of the first input nothing is left, the second one ends after two windows."""
    rng = np.random.default_rng(0)
    graph = Graph(OPS)
    value = graph.add_input("x", TensorType((1, 32, size, size), DType.F32))
    for number in range(2):
        w = graph.add_constant(rng.standard_normal((32, 32, 3, 3)).astype(np.float32), f"w{number}")
        value = graph.add_node("conv", [value, w], ConvAttrs()).output
    graph.set_outputs([value], ["y"])
    assert layers_of(placed(graph), TARGET) == {}


def test_at_most_so_many_tilings_of_a_kernel():
    for timing in measure_layers(layers_of(placed(network()), TARGET), TARGET, FakeStopwatch(last_is_fastest)).values():
        rules = [item.rule for item in timing.candidates]
        assert max(map(rules.count, rules)) <= CANDIDATES


@pytest.mark.jit
def test_every_candidate_gives_the_same_results():
    """What real kernels compute does not depend on which of them were the fastest."""
    source = network(batch=2)
    x = np.random.default_rng(1).standard_normal((2, 32, 12, 12)).astype(np.float32)
    expected = interp.run(source, {"x": x})["y"]
    graph = placed(network(batch=2))
    for count in (0, 2):
        # Position ``count`` wins in every layer.
        stopwatch = FakeStopwatch(lambda candidate, position, count=count: 1e-3 if position == count else 2e-3)
        measured = measure_layers(layers_of(graph, TARGET), TARGET, stopwatch, count=3)
        lowered = lower(graph, TARGET, Selection(measured))
        [y] = Executor(lowered.executable).run([x], {})
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4)


@pytest.mark.jit
def test_real_stopwatch_times_every_program_in_every_round():
    layers = layers_of(placed(network()), TARGET)
    told = []
    stopwatch = KernelStopwatch(TARGET, threads=1, seconds=0.01)
    measured = measure_layers(layers, TARGET, stopwatch, count=2, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 2), (2, 2)]
    for timing in measured.values():
        assert len(timing.seconds) == len(timing.candidates) >= 2
        assert all(0 < seconds < 1 for seconds in timing.seconds)
