"""Layers go back to float for accuracy and for time, and the float program wins where nothing is faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.errors import InputError, OptionError
from cnnc.ir import Array, Graph
from cnnc.observation.evaluation import Predict
from cnnc.quantization import Calibrated, Settings, calibrate, layer_reports, mixed_precision, quantize_within
from cnnc.quantization.layer_times import LayerTimes, layer_times
from cnnc.quantization.neighbours import links
from tests.passes.sketch import Sketch
from tests.quantization.test_quantizer import MODEL, batches

pytestmark = pytest.mark.jit

FEEDS = batches()[0]
EXACT = interp.run(MODEL.graph(), FEEDS)["output"]


def closeness(predict: Predict) -> float:
    """A score: the signal-to-noise ratio of the results, at most 60 dB."""
    noise = np.square(EXACT - predict(FEEDS)["output"]).sum() / np.square(EXACT).sum()
    return float(-10 * np.log10(max(noise, 1e-6)))


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    return calibrate(MODEL, batches())


def fake_times(**slower: float) -> Callable[..., LayerTimes]:
    """Integers take half of the time, but where they take so many times as long."""

    def times(calibrated: Calibrated, tensors: tuple, threads: int | None = None) -> LayerTimes:
        floats = dict.fromkeys(calibrated.stored_results, 1e-5)
        integers = {name: 1e-5 * slower.get(name, 0.5) for name in floats}
        return LayerTimes(floats, integers, {link.value: 1e-7 for link in tensors})

    return times


def fake_race(fastest: str) -> Callable[..., tuple[dict[str, float], str]]:
    """The way of this name is fastest, or the second one."""

    def race(calibrated: Calibrated, ways: Mapping[str, frozenset[str]], threads: int | None) -> tuple:
        best = fastest if fastest in ways else list(ways)[1]
        return {name: 1.0 if name == best else 2.0 for name in ways}, best

    return race


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def fix(fastest: str = "mixed", **slower: float) -> None:
        monkeypatch.setattr(mixed_precision, "layer_times", fake_times(**slower))
        monkeypatch.setattr(mixed_precision, "_race", fake_race(fastest))

    return fix


def test_all_layers_are_quantized_where_that_is_fast_and_accurate(calibrated: Calibrated, fixed: Callable) -> None:
    fixed()
    mixed = quantize_within(calibrated, batches, closeness, 59)
    assert mixed.chosen == "all int8"
    assert mixed.quantized.in_float == {}
    assert not mixed.noise
    assert set(mixed.seconds) == {"float32", "all int8"}


def test_layers_go_back_for_time(calibrated: Calibrated, fixed: Callable) -> None:
    layers = list(calibrated.stored_results)
    fixed(**{layers[1]: 3.0})
    mixed = quantize_within(calibrated, batches, closeness, 59)
    assert mixed.chosen == "mixed"
    assert list(mixed.quantized.in_float) == [layers[1]]
    assert "faster in float" in mixed.quantized.in_float[layers[1]]


def test_layers_go_back_for_accuracy_until_the_budget_holds(calibrated: Calibrated, fixed: Callable) -> None:
    fixed()
    all_int8 = closeness(cnnc.compile(calibrated.quantized().graph).run)
    floats = []
    for gain in (2.0, 6.0, 12.0):
        least = all_int8 + gain
        mixed = quantize_within(calibrated, batches, closeness, 60 - least)
        assert mixed.scores["all int8"] == pytest.approx(all_int8, abs=0.01)
        assert mixed.scores[mixed.chosen] >= least
        assert closeness(cnnc.compile(mixed.quantized.graph).run) >= least - 0.01
        assert all("costs accuracy" in why for why in mixed.quantized.in_float.values())
        floats.append(set(mixed.quantized.in_float))
    assert set() < floats[0] <= floats[1] <= floats[2] < set(calibrated.stored_results)


def test_no_drop_leaves_the_float_model(calibrated: Calibrated, fixed: Callable) -> None:
    fixed("float32")
    mixed = quantize_within(calibrated, batches, closeness, 0)
    assert mixed.chosen == "float32"
    assert mixed.quantized.layers == 0
    assert mixed.quantized.in_float.keys() == calibrated.stored_results.keys()
    np.testing.assert_allclose(interp.run(mixed.quantized.graph, FEEDS)["output"], EXACT, atol=1e-5)


def test_the_float_program_is_kept_where_nothing_is_faster(calibrated: Calibrated, fixed: Callable) -> None:
    fixed("float32")
    mixed = quantize_within(calibrated, batches, closeness, 59)
    assert mixed.quantized.layers == 0
    assert set(mixed.quantized.in_float.values()) == {"the float program is the fastest within the budget"}


def test_the_float_model_is_the_one_that_was_given() -> None:
    """Not the equalised one."""
    sketch = Sketch()
    hidden = sketch.op("relu", sketch.op("conv", sketch.input("N", 3, 10, 10), sketch.normal(8, 3, 1, 1), name="first"))
    graph = sketch.returns(sketch.op("conv", hidden, sketch.normal(4, 8, 1, 1), name="second")).graph
    calibrated = calibrate(graph, batches(), Settings(per_channel=False))
    exact, equalised = (_weights(graph) for graph in (calibrated.exact, calibrated.source))
    assert exact.keys() == _weights(graph).keys()
    assert exact.keys().isdisjoint(equalised)
    made = calibrated.quantized(dict.fromkeys(calibrated.stored_results, "tried"))
    assert all(np.array_equal(array, exact[name]) for name, array in _weights(made.graph).items())
    assert {report.sqnr for report in layer_reports(calibrated, made, batches)} == {float("inf")}


def _weights(graph: Graph) -> dict[str, Array]:
    return {value.name: value.array for value in graph.constants if value.array is not None}


def test_measured_times_decide(calibrated: Calibrated) -> None:
    """Nothing here depends on how fast this machine is."""
    mixed = quantize_within(calibrated, batches, closeness, 40, threads=1)
    assert mixed.chosen in mixed.seconds
    assert mixed.scores[mixed.chosen] >= mixed.scores["float32"] - 40
    times = layer_times(calibrated, links(calibrated.source, calibrated.placement.chosen), threads=1)
    assert times.floats.keys() == times.integers.keys() == calibrated.stored_results.keys()
    assert all(seconds > 0 for seconds in times.conversions.values())


def test_any_choice_of_layers_can_be_quantized(calibrated: Calibrated) -> None:
    """A pool's result has a range even where what it pools stays in float."""
    for layer in calibrated.stored_results:
        for in_float in ({layer}, calibrated.stored_results.keys() - {layer}):
            graph = calibrated.quantized(dict.fromkeys(in_float, "tried")).graph
            got = interp.run(graph, FEEDS)["output"]
            assert np.abs(got - EXACT).max() < 0.25 * np.ptp(EXACT)


def test_by_the_function_of_the_package(fixed: Callable) -> None:
    fixed()
    labels = EXACT.argmax(1)
    made = cnnc.quantize(MODEL, batches(), evaluation={**FEEDS, "labels": labels}, max_drop=0.5)
    assert made.layers == 5


def test_a_budget_without_data_is_refused() -> None:
    with pytest.raises(OptionError, match="go together"):
        cnnc.quantize(MODEL, batches(), max_drop=0.01)


@pytest.mark.parametrize("budget", [-0.1, float("nan"), float("inf")])
def test_budgets_that_make_no_sense_are_refused(calibrated: Calibrated, budget: float) -> None:
    with pytest.raises(OptionError, match="no drop"):
        quantize_within(calibrated, batches, closeness, budget)


def test_a_budget_that_is_no_limit_is_refused(calibrated: Calibrated) -> None:
    with pytest.raises(InputError, match="any model is within"):
        quantize_within(calibrated, batches, lambda predict: 0.004, 0.005)
