"""A float model and sample data give a ``Calibrated`` model, of which any choice of layers can be quantized."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnnc import passes
from cnnc.compiler import Model, read_graph
from cnnc.ir import Array, Graph, Notes
from cnnc.ir.clone import clone_graph
from cnnc.observation.first_and_last import first_layers, last_layers
from cnnc.observation.input_moments import input_moments
from cnnc.observation.layer_rows import has_rows
from cnnc.observation.observed import Progress, kept
from cnnc.quantization.affine import Affine, activation_affine
from cnnc.quantization.batch_norm_layers import normalizations_as_layers
from cnnc.quantization.calibration import activation_ranges
from cnnc.quantization.equalisation import equalise
from cnnc.quantization.insertion import insert_pairs
from cnnc.quantization.placement import Placement, place, stored_result
from cnnc.quantization.ranges import Range
from cnnc.quantization.settings import Settings
from cnnc.quantization.stored_weights import StoredWeights, stored_weights

_CLEAN = (
    "decompose-ops,widen-half,fold-constants,eliminate-no-ops,resolve-auto-pad,fold-shapes,eliminate-dead-code,"
    "canonicalize-axes,canonicalize-operands,recognize-clip,recognize-softplus,recognize-mish,recognize-silu,"
    "recognize-hard-sigmoid,recognize-hard-swish,recognize-global-pool,fold-pad,fuse-matmul-add"
)
"""What brings layers and activations into the form that ``placement`` knows."""

_FOLD = "fold-batch-norm,fold-constants,eliminate-no-ops,eliminate-dead-code"


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantized model, and how it was made.

    Attributes:
        graph: with quantize_linear and dequantize_linear; ``cnnc.compile`` and ``cnnc.export_onnx`` take it.
        ranges: of each activation on the samples, by name.
        affines: its scale and zero point.
        in_float: layers that stayed in float by the name of their result, with the reason.
        excluded: the same by the name of their node.
        layers: how many layers multiply integers.
    """

    graph: Graph
    ranges: Mapping[str, Range]
    affines: Mapping[str, Affine]
    in_float: Mapping[str, str]
    excluded: Mapping[str, str]
    layers: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A float model and the ranges of all that could be stored as integers: any choice of layers can be quantized.

    Attributes:
        exact: the float graph, its layers as the model has them.
        source: the same in the form that is quantized: normalizations are layers, weights perhaps equalised. Neither
            is ever written.
        placement: of ``source``, with all layers that the settings allow.
        ranges: by name of each of the placement's activations.
        weights: of each layer, by the name of its result.
        settings: how it was calibrated.
    """

    exact: Graph
    source: Graph
    placement: Placement
    ranges: Mapping[str, Range]
    weights: Mapping[str, StoredWeights]
    settings: Settings

    @property
    def stored_results(self) -> dict[str, str]:
        """Every layer that can compute on integers, by name of its result -> name of what is stored of that."""
        return {node.output.name: stored_result(self.source, node).name for node in self.placement.chosen}

    @property
    def excluded(self) -> dict[str, str]:
        """Layers that always stay in float by name of their result, with the reason."""
        return {node.output.name: reason for node, reason in self.placement.excluded.items()}

    def quantized(self, in_float: Mapping[str, str] | None = None) -> Quantized:
        """The model with all layers on integers but for some; ``exact`` if none are left.

        Args:
            in_float: layers that stay in float by the name of their result, with the reason.
        """
        graph = clone_graph(self.source)
        placement = place(graph, in_float={**self.excluded, **(in_float or {})})
        affines = {
            name: activation_affine(*range, symmetric=self.settings.symmetric) for name, range in self.ranges.items()
        }
        # What only moves elements has a range of its own where its source stays in float.
        moved = {value.name: affines[source.name] for value, source in self.placement.moved.items()}
        insert_pairs(graph, placement, {**moved, **affines}, self.weights)
        if not placement.chosen:
            graph = clone_graph(self.exact)
        graph.remove_unused_constants()
        # It holds ops that the first passes must see: for them it is as new as an imported one.
        graph.stage = "imported"
        reasons = {node.output.name: reason for node, reason in placement.excluded.items()}
        excluded = {node.name: reason for node, reason in placement.excluded.items()}
        return Quantized(graph, self.ranges, affines, reasons, excluded, len(placement.layers))


def calibrate(
    model: Model,
    samples: Iterable[Mapping[str, Array]] | Callable[[], Iterable[Mapping[str, Array]]],
    settings: Settings | None = None,
    *,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    progress: Progress = lambda what, done: None,
) -> Calibrated:
    """Bring the model into the form that is quantized, find the range of every activation, and store the weights.

    Arguments and errors are those of ``cnnc.quantize``.
    """
    settings = settings or Settings()
    again = samples if callable(samples) else kept(samples)
    graph = _float_graph(model, shapes, settings)
    exact = graph
    graph = clone_graph(exact)
    if settings.fold_batch_norm:
        normalizations_as_layers(graph)
    if settings.equalises:
        equalise(graph, again, progress)
    graph.remove_unused_constants()
    placement = place(graph, settings.exclude, _ends(graph, settings))
    ranges = activation_ranges(graph, placement.activations, again, settings, progress)
    judged = [layer for layer in placement.layers if has_rows(layer)] if settings.judges_inputs else []
    moments = input_moments(graph, judged, again, progress)
    weights = {
        layer.output.name: stored_weights(layer, moments.get(layer.output.name), settings)
        for layer in placement.layers
        if layer.input(1).array is not None
    }
    return Calibrated(exact, graph, placement, ranges, weights, settings)


def _float_graph(model: Model, shapes: Mapping[str, Sequence[int | str]] | None, settings: Settings) -> Graph:
    """A graph of its own, in the form that ``placement`` knows."""
    graph = read_graph(model, shapes)
    if isinstance(model, Graph):
        graph = clone_graph(graph)
    pipeline = f"{_CLEAN},{_FOLD}" if settings.fold_batch_norm else _CLEAN
    passes.PassManager(passes.parse_pipeline(pipeline)).run(graph, Notes())
    return graph


def _ends(graph: Graph, settings: Settings) -> dict[str, str]:
    """Layers that the settings keep in float, by the name of their result, with the reason."""
    first = dict.fromkeys(first_layers(graph) if settings.keep_first else (), "it reads the model's input")
    last = dict.fromkeys(last_layers(graph) if settings.keep_last else (), "it gives the model's result")
    return {**first, **last}
