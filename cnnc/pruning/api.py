"""``cnnc.prune``: weights of least worth become 0."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cnnc.compiler import Model, read_graph
from cnnc.errors import OptionError, UnsupportedError
from cnnc.ir import Array, Graph
from cnnc.ir.clone import clone_graph
from cnnc.observation.observed import Progress, Samples, kept
from cnnc.pruning.allocation import allocate
from cnnc.pruning.criteria import worth_of
from cnnc.pruning.gradients import read_gradients
from cnnc.pruning.masks import Masks, apply_masks
from cnnc.pruning.patterns import Bools
from cnnc.pruning.recovery import Recovery, check_recovery
from cnnc.pruning.recovery import recover as recover_graph
from cnnc.pruning.report import Totals, WeightReport, recounted, totals, weight_reports
from cnnc.pruning.settings import Settings
from cnnc.pruning.weights import Selected, all_weights, from_rows, select

Gradients = Mapping[str, Array] | str | os.PathLike[str]
"""By name of the weight, or an .npz file of them."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned model, and how it was made.

    Attributes:
        graph: the model with zeros, of the same names and structure; ``cnnc.compile`` and ``cnnc.export_onnx`` take it.
        masks: which elements of each pruned weight are kept, by its name.
        settings: how it was pruned.
        weights: what became of every weight.
        recovery: what was recovered on samples; None without any.
    """

    graph: Graph
    masks: Masks
    settings: Settings
    weights: tuple[WeightReport, ...]
    recovery: Recovery | None = None

    @property
    def totals(self) -> Totals:
        """Sums over all weights."""
        return totals(self.weights)


def prune(
    model: Model,
    *,
    sparsity: float | None = None,
    pattern: str = "unstructured",
    criterion: str = "magnitude",
    p: float = 2.0,
    scope: str = "global",
    max_layer_sparsity: float = 1.0,
    ratios: Mapping[str, float] | None = None,
    exclude: Sequence[str] = (),
    prune_first: bool = False,
    prune_last: bool = True,
    prune_depthwise: bool = False,
    gradients: Gradients | None = None,
    data: Iterable[Mapping[str, Array]] | Samples | None = None,
    recover: str | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    progress: Progress = lambda what, done: None,
) -> Pruned:
    """Prune a model: the weights of its layers that are worth least become 0.

    With sample data, the weights that are left take over what those that went did, without training.

    Args:
        model, shapes: as for ``cnnc.compile``; a ``Graph`` stays as it is.
        sparsity, pattern, criterion, p, scope, max_layer_sparsity, ratios, exclude, prune_first, prune_last,
            prune_depthwise: see ``pruning.Settings``.
        gradients: of the loss by each weight, by the name of its initializer and of its shape, or an .npz file of them;
            for the criteria gradient and taylor.
        data: batches to recover on, one array for every input; a few hundred samples. A function gives them anew each
            time; other iterables are kept in memory.
        recover: how, see ``pruning.RECOVERIES``; None: reconstruct.
        progress: told of what is being done with the data, and how much of it is.

    Raises:
        ModelError, UnsupportedError: what is wrong with the model, or nothing of it can be pruned.
        InputError: gradients or data are missing or do not fit.
        OptionError: an option makes no sense, or names no layer.
    """
    settings = Settings(
        sparsity=sparsity,
        pattern=pattern,
        criterion=criterion,
        p=p,
        scope=scope,
        max_layer_sparsity=max_layer_sparsity,
        ratios=tuple((ratios or {}).items()),
        exclude=tuple(exclude),
        prune_first=prune_first,
        prune_last=prune_last,
        prune_depthwise=prune_depthwise,
    )
    settings.check_amount()
    if recover is not None:
        check_recovery(recover)
        if data is None:
            raise OptionError("nothing can be recovered without samples", where="recover", hint="give data")
    graph = own_graph(model, shapes)
    dense = clone_graph(graph)
    pruned = prune_graph(graph, settings, gradients_of(graph, gradients))
    if data is None:
        return pruned
    return recovered(dense, pruned, data if callable(data) else kept(data), recover or "reconstruct", progress)


def recovered(
    dense: Graph,
    pruned: Pruned,
    samples: Samples,
    method: str = "reconstruct",
    progress: Progress = lambda what, done: None,
) -> Pruned:
    """A pruned graph after what it lost was recovered on samples, in place.

    Args:
        dense: the graph before it was pruned.
        method: of ``RECOVERIES``.

    Raises:
        InputError, OptionError: as ``recovery.recover``.
    """
    recovery = recover_graph(dense, pruned.graph, pruned.masks, samples, method, progress)
    return replace(pruned, weights=recounted(pruned.graph, pruned.weights), recovery=recovery)


def own_graph(model: Model, shapes: Mapping[str, Sequence[int | str]] | None = None) -> Graph:
    """The graph of a model, to be changed.

    Raises:
        ModelError, UnsupportedError, OptionError: see ``cnnc.compile``; or the graph is placed already.
    """
    graph = read_graph(model, shapes)
    if graph.stage == "placed":
        what, hint = "a placed graph is for one CPU", "prune the model that it was compiled from"
        raise UnsupportedError(what, where=graph.name, hint=hint)
    return clone_graph(graph) if isinstance(model, Graph) else graph


def gradients_of(graph: Graph, gradients: Gradients | None) -> Mapping[str, Array] | None:
    """Gradients that may be in a file.

    Raises:
        InputError: see ``read_gradients``.
    """
    if isinstance(gradients, (str, os.PathLike)):
        return read_gradients(gradients, all_weights(graph))
    return gradients


def prune_graph(graph: Graph, settings: Settings, gradients: Mapping[str, Array] | None = None) -> Pruned:
    """Prune a graph in place. Errors are those of ``prune``."""
    settings.check_amount()
    selected = select(graph, settings)
    masks = choose_masks(graph, selected, settings, gradients)
    apply_masks(graph, masks)
    return Pruned(graph, masks, settings, weight_reports(graph, masks, selected))


def choose_masks(
    graph: Graph, selected: Selected, settings: Settings, gradients: Mapping[str, Array] | None = None
) -> dict[str, Bools]:
    """Which elements of the selected weights are kept, by name. Errors are those of ``prune``."""
    worth = worth_of(graph, list(selected.ratios), settings.criterion, gradients)
    kept = allocate(worth, selected.ratios, settings)
    return {
        weight.name: from_rows(weight.layers[0], rows, weight.array.shape).astype(bool, copy=False)
        for weight, rows in kept.items()
    }
