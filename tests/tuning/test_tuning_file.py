"""Tunings survive the way to a file and back; whatever else a file holds is refused; -O3 measures once."""

import json
import re
from pathlib import Path

import pytest

import cnnc
from cnnc import compiler, model_tuning
from cnnc.errors import OptionError
from cnnc.runtime.jit.cache import cache_folder
from cnnc.tuning import read_tuning
from tests.tuning.stopwatches import FakeStopwatch, last_is_fastest

LENET = Path(__file__).resolve().parents[2] / "examples" / "models" / "lenet5_fashion.onnx"


@pytest.fixture
def stopwatch(monkeypatch, tmp_path):
    """Replaces the compiler's stopwatch; the cache is an empty folder."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CNNC_CACHE_DIR", str(folder))
    made = FakeStopwatch(last_is_fastest)
    monkeypatch.setattr(model_tuning, "KernelStopwatch", lambda *arguments, **options: made)
    return made


def tiles(model):
    """The compile-time parameters of the program's tiled kernels."""
    return [str(variant) for variant in model.lowered.program.variants() if "rows=" in str(variant)]


def test_second_compile_measures_nothing(stopwatch):
    first = cnnc.compile(LENET, level=3)
    measured = stopwatch.layers
    assert measured == 5
    second = cnnc.compile(LENET, level=3)
    assert stopwatch.layers == measured
    assert second.lowered.program == first.lowered.program
    assert tiles(first) != tiles(cnnc.compile(LENET))


def test_levels_below_measure_nothing(stopwatch):
    for level in (0, 1, 2):
        model = cnnc.compile(LENET, level=level)
        assert all(decision.timing is None for decision in model.lowered.decisions)
    assert stopwatch.layers == 0


def test_more_outputs_measure_nothing_again(stopwatch):
    model = cnnc.compile(LENET, level=3)
    measured = stopwatch.layers
    names = [value.name for value in compiler.read_graph(LENET).values if not value.is_constant]
    model.with_outputs((names[2],))
    assert stopwatch.layers == measured


def test_damaged_cache_is_measured_anew(stopwatch):
    cnnc.compile(LENET, level=3)
    [path] = cache_folder().glob("tuning-*.json")
    text = path.read_text()
    path.write_text(text[: len(text) // 2])
    cnnc.compile(LENET, level=3)
    assert stopwatch.layers == 10
    assert path.read_text() == text


def test_cached_tilings_that_no_kernel_offers_are_measured_anew(stopwatch):
    cnnc.compile(LENET, level=3)
    [path] = cache_folder().glob("tuning-*.json")
    text = path.read_text()
    path.write_text(re.sub(r'"columns": \d+', '"columns": 29', text))
    cnnc.compile(LENET, level=3)
    assert stopwatch.layers == 7  # both convolutions
    assert path.read_text() == text


def test_tuning_round_trip(stopwatch, tmp_path):
    path = tmp_path / "tuning.json"
    tuning = cnnc.tune(LENET, out=path)
    assert read_tuning(path) == tuning
    assert read_tuning(path).to_json() == path.read_text()
    measured = stopwatch.layers
    for given in (tuning, path, str(path)):
        model = cnnc.compile(LENET, level=3, tuning=given)
        assert model.lowered.program == cnnc.compile(LENET, level=3).lowered.program
        timings = [decision.timing for decision in model.lowered.decisions if decision.timing]
        assert len(timings) == 5
        assert all(timing in tuning.layers.values() for timing in timings)
    assert stopwatch.layers == measured


def test_tune_measures_again_and_says_how_far_it_is(stopwatch):
    cnnc.compile(LENET, level=3)
    told = []
    cnnc.tune(LENET, again=True, progress=lambda *what: told.append(what))
    assert stopwatch.layers == 10
    assert told == [("layers", number, 5) for number in range(1, 6)]


def test_layers_that_a_tuning_lacks_are_left_to_the_cost_model(stopwatch):
    tuning = cnnc.tune(LENET)
    wider = cnnc.compile(LENET, level=3, shapes={"input": (8, 1, 28, 28)}, tuning=tuning)
    assert [decision.timing for decision in wider.lowered.decisions if decision.op in ("conv", "gemm")] == [None] * 5


def set_in(*path):
    """A mutation of the JSON value: the last item is stored at the path before it."""
    *steps, last, value = path

    def mutate(record):
        for step in steps:
            record = record[step] if step != "first" else next(iter(record.values()))
        record[last] = value

    return mutate


DAMAGES = {
    "format": set_in("format", "other"),
    "version": set_in("version", 1),
    "layers": set_in("layers", []),
    "threads": set_in("environment", "threads", 0),
    "cpu": set_in("environment", "cpu", None),
    "machine": set_in("machine", "flops", 0),
    "chosen": set_in("layers", "first", "chosen", 9),
    "no candidates": set_in("layers", "first", "candidates", []),
    "rule": set_in("layers", "first", "candidates", 0, "rule", "host"),
    "tiling": set_in("layers", "first", "candidates", 0, "tiling", {"rows": 1}),
    "size": set_in("layers", "first", "candidates", 0, "tiling", "rows", "1"),
    "bool": set_in("layers", "first", "candidates", 0, "tiling", "rows", True),
    "seconds": set_in("layers", "first", "candidates", 0, "seconds", float("inf")),
    "target": set_in("environment", "target", "x86-64-v9"),
    "kernels": set_in("environment", "kernels", "0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_unfit_files_are_refused(damage, stopwatch, tmp_path):
    path = tmp_path / "tuning.json"
    record = json.loads(cnnc.tune(LENET).to_json())
    DAMAGES[damage](record)
    path.write_text(json.dumps(record))
    with pytest.raises(OptionError, match="cnnc tune"):
        cnnc.compile(LENET, level=3, tuning=path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[]", b"{", b"[" * 100_000, b'{"format": "cnnc-tuning"}'])
def test_other_files_are_refused(data, tmp_path):
    path = tmp_path / "tuning.json"
    path.write_bytes(data)
    with pytest.raises(OptionError, match="no tuning file"):
        read_tuning(path)
    with pytest.raises(OptionError, match="check the path"):
        read_tuning(tmp_path / "absent.json")


def test_tilings_that_no_kernel_offers_are_refused(stopwatch, tmp_path):
    path = tmp_path / "tuning.json"
    path.write_text(re.sub(r'"columns": \d+', '"columns": 29', cnnc.tune(LENET).to_json()))
    with pytest.raises(OptionError, match=r"columns=29.*\n.*cnnc tune"):
        cnnc.compile(LENET, level=3, tuning=path)


def test_lower_levels_take_no_tuning(stopwatch):
    with pytest.raises(OptionError, match="level 3"):
        cnnc.compile(LENET, level=2, tuning=cnnc.tune(LENET))


class StoppedError(Exception):
    """What a user's interrupt looks like to a test."""


def test_a_stopped_run_goes_on_where_it_was(stopwatch):
    def stop(what, done, total):
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        cnnc.tune(LENET, progress=stop)
    assert stopwatch.layers == 3
    told = []
    tuning = cnnc.tune(LENET, progress=lambda *what: told.append(what))
    assert stopwatch.layers == 5
    assert told == [("layers", 1, 2), ("layers", 2, 2)]
    assert len(tuning.layers) == 5


def test_winners_that_make_the_model_slower_are_taken_back(stopwatch):
    stopwatch.model_times = [1.0, 1.1, 1.2]
    tuning = cnnc.tune(LENET)
    assert all(timing.chosen == 0 for timing in tuning.layers.values())
    assert cnnc.compile(LENET, level=3).lowered.program == cnnc.compile(LENET).lowered.program
    assert stopwatch.models == 1  # the verdict is cached
    stopwatch.model_times = []
    assert any(timing.chosen for timing in cnnc.tune(LENET, again=True).layers.values())


def test_clear_winners_alone_may_be_the_best(stopwatch):
    gains = iter([0.95, 0.5, 0.5, 0.95, 0.5])

    def some_win_clearly(candidate, position):
        return next(gains) if position == 1 else 1.0 + position

    stopwatch.time_of = some_win_clearly
    stopwatch.model_times = [1.0, 0.8, 0.9]
    chosen = [timing.chosen for timing in cnnc.tune(LENET).layers.values()]
    assert sorted(chosen) == [0, 0, 1, 1, 1]
