"""Times of every layer in the float program and in the integer program, and of the conversions between the two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from cnnc.dims import evaluate, symbols
from cnnc.ir import Graph, Node
from cnnc.ir.clone import clone_graph
from cnnc.observation.observed import compiled
from cnnc.quantization.neighbours import FLOAT, Link, owners
from cnnc.quantization.placement import INTEGER_OPS, place
from cnnc.quantization.quantizer import Calibrated
from cnnc.runtime.call import StepTiming
from cnnc.runtime.cpu.machine import CALL_SECONDS, Machine
from cnnc.runtime.input_check import bind_shapes
from cnnc.sample_inputs import sample_arrays
from cnnc.tuning import known_machine
from cnnc.tuning.step_times import step_times
from cnnc.types import DType

_CONVERSIONS = ("quantize_linear", "dequantize_linear")
_CONVERTED_BYTES = DType.F32.size + DType.U8.size
_SUM_BYTES = 3 * DType.F32.size


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """Seconds of a run with one sample, by name of the layer's result.

    Attributes:
        floats: in the float program.
        integers: in the program with all layers on integers, without conversions at its ends.
        conversions: to convert a tensor between layers, by its name; estimated from its bytes.
    """

    floats: Mapping[str, float]
    integers: Mapping[str, float]
    conversions: Mapping[str, float]


def layer_times(calibrated: Calibrated, links: tuple[Link, ...], *, threads: int | None = None) -> LayerTimes:
    """Profile both programs in turns on random inputs, with a batch of one where it is open.

    An op that is no layer counts for the layer before it. A layer that stays in float between its conversions though
    it is stored as integers is charged with them.

    Raises:
        InputError: typical sizes are no sizes for the model.
    """
    layers = list(calibrated.stored_results)
    labelled = _labelled(calibrated)
    models = [compiled(labelled.source), compiled(labelled.quantized().graph)]
    types = {value.name: value.type for value in calibrated.source.inputs}
    inputs = list(sample_arrays(types, batch=1).values())
    sizes = bind_shapes(models[0].lowered.program.inputs, inputs)
    floats, integers = step_times([model.executable for model in models], inputs, sizes, threads=threads)
    # A step that is run by itself takes so long at least.
    alone = min(seconds for _, seconds in (*floats, *integers))
    unfused = {label for node in models[1].graph.nodes if _is_float_layer(node) for label in node.loc}
    kept = [item for item in integers if item[0].op not in _CONVERSIONS or item[0].label in unfused]
    machine = known_machine()
    passes = {
        layer: _seconds_to_move(_elements(calibrated.source, layer, sizes) * _SUM_BYTES, machine) for layer in layers
    }
    conversions = {
        link.value: _seconds_to_move(_elements(calibrated.source, link.value, sizes) * _CONVERTED_BYTES, machine)
        for link in links
    }
    return LayerTimes(_by_layer(floats, passes, alone), _by_layer(kept, passes, alone), conversions)


def _labelled(calibrated: Calibrated) -> Calibrated:
    """The same, but that all nodes come from the layer that their time counts for: steps are labelled with that."""
    source = clone_graph(calibrated.source)
    placement = place(source, in_float=calibrated.excluded)
    numbers = {node.output.name: number for number, node in enumerate(placement.chosen)}
    for node, owner in owners(source, placement.chosen).items():
        node.loc = (_label(numbers[owner]) if owner != FLOAT else "no layer",)
    return replace(calibrated, source=source, placement=placement)


def _is_float_layer(node: Node) -> bool:
    return node.op in INTEGER_OPS and node.output.type.dtype is DType.F32


def _label(number: int) -> str:
    return f"layer {number}"


def _by_layer(profile: list[tuple[StepTiming, float]], passes: Mapping[str, float], alone: float) -> dict[str, float]:
    """Seconds of each layer.

    A step of several layers, such as a convolution that adds its residual, counts for the first of them, but for what
    passes over the others' results would take: that is what they cost where they are not fused.

    Args:
        passes: seconds to add up two tensors as large as each layer's result, in the order of the layers' labels.
        alone: what running a step by itself adds to its time.
    """
    found = dict.fromkeys(passes, 0.0)
    names = {_label(number): name for number, name in enumerate(passes)}
    for step, seconds in profile:
        labelled = [names[label] for label in dict.fromkeys(step.label.split(", ")) if label in names]
        if not labelled:
            continue
        first, *fused = labelled
        left = seconds - alone + CALL_SECONDS
        for layer in fused:
            share = min(passes[layer], left / 2)
            found[layer] += share
            left -= share
        found[first] += left
    return found


def _elements(graph: Graph, name: str, sizes: Mapping[str, int]) -> int:
    """Of a value; a size that only data decide is taken to be 1."""
    shape = graph.value(name).type.shape
    return prod(evaluate(dim, sizes) if symbols(dim) <= sizes.keys() else 1 for dim in shape)


def _seconds_to_move(size: int, machine: Machine) -> float:
    """A kernel that does little but read and write ``size`` bytes."""
    return size / machine.bandwidth(size) + CALL_SECONDS
