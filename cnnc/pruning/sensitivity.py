"""Sensitivity: what becomes of a model's accuracy where one layer alone is pruned, by how much.

Layers that lose nothing at high ratios are those to prune first; one that falls early is to be left dense, or given a
ratio of its own.

Source: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cnnc.compiler import Model
from cnnc.errors import InputError, OptionError
from cnnc.ir import Array, Graph
from cnnc.ir.clone import clone_graph
from cnnc.observation.evaluation import Evaluation, Predict, checked_score, metric_of, score_of
from cnnc.observation.observed import Progress, Samples, compiled, kept
from cnnc.observation.signal_to_noise import Power, decibels, first_batches
from cnnc.pruning.allocation import allocate
from cnnc.pruning.api import Gradients, gradients_of, own_graph
from cnnc.pruning.criteria import worth_of
from cnnc.pruning.masks import apply_masks
from cnnc.pruning.patterns import Bools, NofM
from cnnc.pruning.settings import Settings
from cnnc.pruning.weights import Weight, from_rows, select

RATIOS = (0.3, 0.5, 0.7, 0.8, 0.9)
"""What is tried unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Scores of a model with one layer pruned.

    Attributes:
        metric: what a score is: "top-1", "agreement" with the dense model's classes, "score" of the user's function, or
            "SQNR dB" of the results.
        dense: the dense model's score; infinite for SQNR.
        ratios: that were tried, ascending.
        scores: by name of the weight, one for each ratio.
        layers: name of the node that reads the weight, by name of the weight.
    """

    metric: str
    dense: float
    ratios: tuple[float, ...]
    scores: Mapping[str, tuple[float, ...]]
    layers: Mapping[str, str]


def scan_sensitivity(
    model: Model,
    ratios: Sequence[float] = RATIOS,
    *,
    evaluation: Evaluation | None = None,
    samples: Iterable[Mapping[str, Array]] | Callable[[], Iterable[Mapping[str, Array]]] | None = None,
    settings: Settings | None = None,
    gradients: Gradients | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    progress: Progress = lambda what, done: None,
) -> Sensitivity:
    """Score a model with each layer pruned alone, by each ratio.

    Args:
        model, shapes: as for ``cnnc.compile``.
        ratios: of the layer's weights that become 0, from 0 to below 1.
        evaluation: arrays or a function, as for ``cnnc.quantize``.
        samples: in place of an evaluation: batches on which results are compared with the dense model's.
        settings: pattern, criterion, and which layers are looked at; how many weights go is what ``ratios`` say.
        gradients: as for ``cnnc.prune``.
        progress: told of the layer under way, and of how many are done.

    Raises:
        ModelError, UnsupportedError, InputError, OptionError: as ``cnnc.prune``; or neither evaluation nor samples are
            given, or both; or they do not fit the model.
    """
    if (evaluation is None) == (samples is None):
        raise OptionError("models are scored on one kind of data", hint="give evaluation or samples")
    asked = tuple(sorted(set(ratios)))
    for ratio in asked or (-1.0,):
        if not 0 <= ratio < 1:
            what = "ratios to try lie from 0 to below 1, and there is at least one"
            raise OptionError(what, where="ratios", hint="give 0.5,0.7,0.9 for example")
    settings = settings or Settings()
    if isinstance(settings.parsed_pattern, NofM):
        what = f"layers of pattern {settings.pattern} have no ratios"
        raise OptionError(what, where="pattern", hint="scan unstructured or block4")
    settings = replace(settings, sparsity=asked[-1], ratios=())
    graph = own_graph(model, shapes)
    weights = list(select(graph, settings).ratios)
    worth = worth_of(graph, weights, settings.criterion, gradients_of(graph, gradients))
    again = samples if samples is None or callable(samples) else kept(samples)
    judge = _judge(graph, evaluation, again)
    scores: dict[str, tuple[float, ...]] = {}
    for weight, elements in worth.items():
        progress(weight.layers[0].name, len(scores))
        row = []
        for ratio in asked:
            mask = allocate({weight: elements}, {weight: ratio}, settings)[weight]
            row.append(judge.score(_with_mask(graph, weight, mask)))
        scores[weight.name] = tuple(row)
    layers = {weight.name: weight.layers[0].name for weight in worth}
    return Sensitivity(judge.metric, judge.dense, asked, scores, layers)


@dataclass(frozen=True, slots=True)
class _Judge:
    metric: str
    dense: float
    score: Callable[[Graph], float]


def _with_mask(graph: Graph, weight: Weight, rows: Bools) -> Graph:
    pruned = clone_graph(graph)
    mask: Bools = from_rows(weight.layers[0], rows, weight.array.shape).astype(bool, copy=False)
    apply_masks(pruned, {weight.name: mask})
    return pruned


def _judge(graph: Graph, evaluation: Evaluation | None, samples: Samples | None) -> _Judge:
    exact = compiled(graph).run
    if evaluation is None:
        assert samples is not None
        return _by_noise(exact, samples)
    score = score_of(evaluation, graph, exact)
    metric = metric_of(evaluation)
    return _Judge(metric, checked_score(score, exact), lambda pruned: checked_score(score, compiled(pruned).run))


def _by_noise(exact: Predict, samples: Samples) -> _Judge:
    """Judges by the mean over the results of their signal-to-noise ratios, on the first samples."""
    batches = [dict(batch) for batch in first_batches(samples())]
    if not batches:
        raise InputError("there are no samples", where="samples", hint="give at least one batch")
    wanted = [exact(batch) for batch in batches]

    def score(graph: Graph) -> float:
        predict = compiled(graph).run
        powers = {name: Power() for name in graph.output_names}
        for batch, results in zip(batches, wanted, strict=True):
            for name, got in predict(batch).items():
                powers[name].see(results[name], got)
        return decibels(float(np.mean([power.ratio for power in powers.values()])))

    return _Judge("SQNR dB", decibels(0.0), score)
