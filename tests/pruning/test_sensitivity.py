"""Scans: a layer alone is pruned, scores are those of its model, and what cannot be scanned is refused."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc.errors import InputError, OptionError
from cnnc.ir import Graph
from cnnc.pruning import Sensitivity, Settings, plot_sensitivity, scan_sensitivity
from tests.pruning.graphs import Array, Network, random

DATA = {"x": random(40, 3, 8, 8, seed=9)}


def network() -> Graph:
    net = Network("N", 3, 8, 8).conv("a", random(8, 3, 3, 3)).relu().conv("b", random(6, 8, 1, 1, seed=1))
    return net.relu().pooled().gemm("fc", random(6, 4, seed=2)).done()


@pytest.mark.jit
def test_scores_are_those_of_models_with_one_layer_pruned() -> None:
    labels = cnnc.compile(network()).run(DATA)["y"].argmax(1)
    evaluation = {**DATA, "labels": labels}
    found = scan_sensitivity(network(), (0.9, 0.5), evaluation=evaluation, settings=Settings(prune_first=True))
    assert (found.metric, found.dense, found.ratios) == ("top-1", 1.0, (0.5, 0.9))
    assert found.layers == {"a": "/a/Conv", "b": "/b/Conv", "fc": "/fc/Gemm"}
    for name, scores in found.scores.items():
        for ratio, score in zip(found.ratios, scores, strict=True):
            alone = cnnc.prune(network(), ratios={name: ratio}).graph
            assert score == np.mean(cnnc.compile(alone).run(DATA)["y"].argmax(1) == labels)


@pytest.mark.jit
def test_without_labels_results_are_compared() -> None:
    agreement = scan_sensitivity(network(), (0.5,), evaluation=DATA)
    assert (agreement.metric, agreement.dense) == ("agreement", 1.0)
    noise = scan_sensitivity(network(), (0.0, 0.3, 0.9), samples=[DATA], settings=Settings(pattern="block4"))
    assert noise.metric == "SQNR dB"
    assert math.isinf(noise.dense)
    for none, less, more in noise.scores.values():
        assert none == math.inf
        assert less > more


@pytest.mark.jit
def test_a_function_scores() -> None:
    found = scan_sensitivity(network(), (0.5,), evaluation=lambda run: float(run(DATA)["y"].std()))
    assert found.metric == "score"
    assert all(score != found.dense for [score] in found.scores.values())


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "one kind of data"),
        ({"samples": [DATA], "evaluation": DATA}, "one kind of data"),
        ({"samples": [DATA], "ratios": ()}, "ratios to try"),
        ({"samples": [DATA], "ratios": (0.5, 1.0)}, "from 0 to below 1"),
        ({"samples": [DATA], "settings": Settings(pattern="2:4")}, "pattern 2:4 have no ratios"),
    ],
)
def test_what_cannot_be_scanned_is_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        scan_sensitivity(network(), **options)


@pytest.mark.jit
def test_samples_are_needed() -> None:
    nothing: list[dict[str, Array]] = []
    with pytest.raises(InputError, match="there are no samples"):
        scan_sensitivity(network(), (0.5,), samples=nothing)


FOUND = Sensitivity("top-1", 0.9, (0.5, 0.9), {"w": (0.8, 0.1), "v": (0.85, 0.7)}, {"w": "/w/Conv", "v": "/v/Conv"})


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is an optional extra")
def test_a_scan_is_plotted(tmp_path: Path) -> None:
    for name in ("plot.svg", "plot.png"):
        plot_sensitivity(FOUND, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    text = (tmp_path / "plot.svg").read_text()
    assert "/w/Conv" in text or "path" in text
    with pytest.raises(OptionError, match="kind 'txt'"):
        plot_sensitivity(FOUND, tmp_path / "plot.txt")


def test_a_plot_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.backend_bases"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(OptionError, match=r"pip install cnnc\[bench\]"):
        plot_sensitivity(FOUND, tmp_path / "plot.svg")
