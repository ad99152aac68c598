"""What weights are worth: the least worthy go. All are numbers from 0 on, [G, O, I, T] as ``weights.rows_of`` has them.

    magnitude, lp    |w|                               how weights of a block are taken together: ``Blocks.scores``
    gradient         |g|                               g = dL/dw: how much the loss L changes with the weight
    taylor           |g w|                             how much it changes, to first order, where w becomes 0
    bn-scale         |w| |gamma[o]| / sqrt(variance[o] + epsilon)

``bn-scale`` is the magnitude that a weight has once the batch normalization behind its layer is folded into it: without
that, weights of channels that are normalized differently cannot be compared. Where no normalization follows it is |w|.

Sources: Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015 (magnitude); Li
et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (norms); Molchanov et al., Pruning Convolutional Neural
Networks for Resource Efficient Inference, ICLR 2017, section 2.2, and Importance Estimation for Neural Network Pruning,
CVPR 2019 (Taylor); Liu et al., Learning Efficient Convolutional Networks through Network Slimming, ICCV 2017 (scales of
batch normalizations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnc.errors import InputError, ModelError, OptionError
from cnnc.ir import Array, Graph, Node
from cnnc.passes.channel_affine import Float64, read_affine
from cnnc.pruning.patterns import Worth
from cnnc.pruning.settings import NEEDS_GRADIENTS
from cnnc.pruning.weights import Weight, rows_of


def worth_of(
    graph: Graph, weights: Sequence[Weight], criterion: str, gradients: Mapping[str, Array] | None = None
) -> dict[Weight, Worth]:
    """Worth of the elements of each weight, [G, O, I, T] in float32 or float64.

    Args:
        criterion: of ``settings.CRITERIA``.
        gradients: for criteria that need them, an array by name of each weight, of its shape.

    Raises:
        OptionError: gradients are missing, or given for a criterion that has no use for them.
        InputError: a gradient is missing, of another shape, or not finite.
        ModelError: bn-scale, and no batch normalization follows any of the layers.
    """
    check_gradients(criterion, gradients)
    if gradients is not None:
        by_product = criterion == "taylor"
        return {weight: _change_of_loss(weight, gradients, by_product=by_product) for weight in weights}
    if criterion == "bn-scale":
        return _folded_magnitudes(graph, weights)
    return {weight: _magnitude(weight) for weight in weights}


def check_gradients(criterion: str, gradients: Mapping[str, Array] | None) -> None:
    """Check that gradients are given if and only if the criterion needs them.

    Raises:
        OptionError: they are missing, or the criterion has no use for them.
    """
    needed = criterion in NEEDS_GRADIENTS
    if needed and gradients is None:
        hint = "give an array for each weight, named as the initializer"
        raise OptionError(f"criterion {criterion} needs gradients", where="gradients", hint=hint)
    if not needed and gradients is not None:
        hint = f"choose one of {', '.join(NEEDS_GRADIENTS)}, or leave them out"
        raise OptionError(f"criterion {criterion} uses no gradients", where="gradients", hint=hint)


def _magnitude(weight: Weight) -> Worth:
    """In float32, or float64 where the weight is that: ties stay ties."""
    dtype = np.float64 if weight.array.dtype == np.float64 else np.float32
    return _rows(weight, np.abs(weight.array.astype(dtype)))


def _rows(weight: Weight, worth: Array) -> Worth:
    rows: Worth = np.ascontiguousarray(rows_of(weight.layers[0], worth))
    return rows


def _change_of_loss(weight: Weight, gradients: Mapping[str, Array], *, by_product: bool) -> Worth:
    """|g| or |g w| in float64, where products of small numbers do not vanish."""
    where = f"gradient of {weight.name!r}"
    array = gradients.get(weight.name)
    if array is None:
        found = ", ".join(map(repr, list(gradients)[:5])) or "none"
        hint = f"name arrays as the weights of the ONNX model, or exclude the layer; there are {found}"
        raise InputError(f"layer {weight.layers[0].name!r} has none", where=where, hint=hint)
    array = np.asarray(array)
    if array.shape != weight.array.shape or array.dtype.kind != "f":
        what = f"it is {array.dtype}{list(array.shape)}, expected a float of {list(weight.array.shape)}"
        raise InputError(what, where=where, hint="give the gradient as the ONNX model has the weight")
    if not np.isfinite(array).all():
        raise InputError("it holds infinity or NaN", where=where, hint="compute it anew, perhaps with a smaller loss")
    change = np.abs(array.astype(np.float64))
    if by_product:
        change *= np.abs(weight.array.astype(np.float64))
    return _rows(weight, change)


def _folded_magnitudes(graph: Graph, weights: Sequence[Weight]) -> dict[Weight, Worth]:
    """|w| times the scale of the normalization behind the layer."""
    scales = {weight: _normalization_scale(graph, weight) for weight in weights}
    if all(scale is None for scale in scales.values()):
        hint = "it may be folded: export the model with its BatchNormalization nodes, or choose magnitude"
        raise ModelError("no batch normalization follows a layer that is pruned", where=graph.name, hint=hint)
    worth: dict[Weight, Worth] = {}
    for weight, scale in scales.items():
        rows = _rows(weight, np.abs(weight.array.astype(np.float64)))
        worth[weight] = rows if scale is None else rows * scale.reshape(*rows.shape[:2], 1, 1)
    return worth


def _normalization_scale(graph: Graph, weight: Weight) -> Float64 | None:
    """|gamma| / sqrt(variance + epsilon) of what follows the layers, [OC]; the largest where they are several."""
    scales = [_scale_behind(graph, layer) for layer in weight.layers]
    known = [scale for scale in scales if scale is not None]
    return np.maximum.reduce(known) if known else None


def _scale_behind(graph: Graph, layer: Node) -> Float64 | None:
    users = layer.output.users
    if layer.op in ("gemm", "matmul") and layer.output.type.rank != 2:
        return None  # axis 1, which is normalized, is not that of the outputs
    if len(users) != 1 or graph.is_output(layer.output) or users[0].op != "batch_normalization":
        return None
    affine = read_affine(users[0])
    return None if isinstance(affine, str) else np.abs(affine.scale)
