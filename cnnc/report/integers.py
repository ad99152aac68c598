"""Quantization of layers: their scales, and what rounding to them leaves of the signal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cnnc.compiled_model import CompiledModel
from cnnc.dims import symbols
from cnnc.ir import Array, Node
from cnnc.report.facts import IntegerFact
from cnnc.report.program_tensors import WatchedProgram

ROUNDING_POWER = 1 / 12
"""Of an error that is spread evenly over a step from -1/2 to 1/2 (Bennett, Spectra of Quantized Signals, 1948)."""


@dataclass(frozen=True, slots=True)
class _Scales:
    """Positions of scales among an op's operands, each with its zero point behind it; None where it has none."""

    x: int | None = None
    w: int | None = None
    y: int | None = None


_LAYER, _BINARY, _UNARY = _Scales(1, 4, 6), _Scales(1, None, 6), _Scales(1, None, 3)
_SCALES: Mapping[str, _Scales] = {
    "q_linear_conv": _LAYER,
    "q_linear_matmul": _LAYER,
    "q_linear_gemm": _Scales(1, 4, 7),
    "q_linear_add": _BINARY,
    "q_linear_mul": _BINARY,
    "q_linear_leaky_relu": _UNARY,
    "q_linear_sigmoid": _UNARY,
    "q_linear_average_pool": _UNARY,
    "q_linear_global_average_pool": _UNARY,
    "requantize": _UNARY,
    "q_linear_concat": _Scales(y=0),
    "quantize_linear": _Scales(y=1),
    "dequantize_linear": _Scales(x=1),
}


def integer_facts(compiled: CompiledModel) -> dict[int, IntegerFact]:
    """By the number of the step that completes a node's result, nodes that have scales; noise left out."""
    nodes = {node.output.name: node for node in compiled.graph.nodes if node.outputs}
    return {
        decision.steps[-1]: _fact(nodes[decision.value], _SCALES[decision.op])
        for decision in compiled.lowered.decisions
        if decision.op in _SCALES and decision.steps
    }


def with_noise(
    facts: Mapping[int, IntegerFact], compiled: CompiledModel, sizes: Mapping[str, int], feeds: Mapping[str, Array]
) -> dict[int, IntegerFact]:
    """The facts with the signal-to-noise ratio of each result that has one scale.

    Args:
        sizes: of the symbols of input shapes, which ``feeds`` have.
    """
    values = {value.name: value for node in compiled.graph.nodes for value in node.outputs}
    wanted = {
        decision.steps[-1]: decision.value
        for decision in compiled.lowered.decisions
        if decision.steps
        and decision.steps[-1] in facts
        and facts[decision.steps[-1]].output_scale is not None
        and all(symbols(dim) <= sizes.keys() for dim in values[decision.value].type.shape)
    }
    found = dict(facts)

    def see(step: int, stored: Array) -> None:
        found[step] = replace(facts[step], sqnr_db=_sqnr(stored, facts[step].output_zero_point or 0))

    if wanted:
        WatchedProgram(compiled, feeds).run(wanted, see)
    return found


def _sqnr(stored: Array, zero: int) -> float | None:
    """Decibels; None for a result of zeros, which rounding leaves as they are."""
    power = float(np.mean(np.square(stored.astype(np.float64) - zero))) if stored.size else 0.0
    return 10 * math.log10(power / ROUNDING_POWER) if power else None


def _fact(node: Node, scales: _Scales) -> IntegerFact:
    weights = _constant(node, scales.w)
    return IntegerFact(
        input_scale=_scale(node, scales.x),
        input_zero_point=_zero_point(node, scales.x),
        output_scale=_scale(node, scales.y),
        output_zero_point=_zero_point(node, scales.y),
        weight_scales=None if weights is None or not weights.size else (float(weights.min()), float(weights.max())),
        weight_bits=None if scales.w is None else 8 * node.input(scales.w - 1).type.dtype.size,
        sqnr_db=None,
    )


def _scale(node: Node, position: int | None) -> float | None:
    """A constant scale of the whole tensor; None for others."""
    array = _constant(node, position)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def _zero_point(node: Node, scale: int | None) -> int | None:
    """The zero point behind a scale; None where there is none."""
    array = None if scale is None else _constant(node, scale + 1)
    return int(array.reshape(())) if array is not None and array.size == 1 else None


def _constant(node: Node, position: int | None) -> Array | None:
    value = None if position is None else node.optional(position)
    return None if value is None else value.array
