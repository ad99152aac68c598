"""Prunes networks by weight magnitude, layer by layer: what benchmarks and tests of sparse execution run.

    python benchmarks/sparse_models.py ../zoo/resnet50.onnx ../zoo/vgg16.onnx --out build/sparse
    python benchmarks/sparse_models.py resnet18.onnx --sparsity 0.9 --patterns block4 --out build/sparse

Writes NAME_u90.onnx (unstructured, 90 % of the weights of each layer are zero) and NAME_b90.onnx (blocks of four
neighbouring output channels that are zero together). Convolutions with windows of 1x1 and 3x3 are pruned; depthwise
ones, other windows and Gemm stay dense. Nothing else of the file changes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

BLOCK = {"unstructured": 1, "block4": 4}
"""Neighbouring output channels that are kept or zeroed together, by pattern."""

WINDOWS = ((1, 1), (3, 3))

Weight = NDArray[np.float32]


def pruned(weight: Weight, sparsity: float, block: int = 1) -> Weight:
    """``weight`` [OC, IC, KH, KW] with the positions of the smallest magnitudes zeroed.

    Args:
        sparsity: the share of positions that become zero, 0 to 1.
        block: this many neighbouring output channels share a position, which counts by its Euclidean norm; where OC is
            no multiple, the last block is of fewer channels.
    """
    channels = weight.shape[0]
    rows = -(-channels // block)
    padded = np.zeros((rows * block, weight[0].size), np.float64)
    padded[:channels] = weight.reshape(channels, -1)
    norms = np.square(padded).reshape(rows, block, -1).sum(axis=1)
    kept = np.ones(norms.size, bool)
    kept[np.argsort(norms, axis=None, kind="stable")[: round(sparsity * norms.size)]] = False
    mask = np.repeat(kept.reshape(norms.shape), block, axis=0)[:channels].reshape(weight.shape)
    return np.where(mask, weight, np.float32(0))


def pruned_model(model: onnx.ModelProto, sparsity: float, pattern: str) -> onnx.ModelProto:
    """A copy of ``model`` whose 1x1 and 3x3 convolutions are pruned, depthwise ones excepted."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for tensor in _prunable(result):
        weight = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(pruned(weight, sparsity, BLOCK[pattern]), tensor.name))
    return result


def file_name(name: str, sparsity: float, pattern: str) -> str:
    """Such as resnet50_u90.onnx."""
    return f"{name}_{pattern[0]}{round(sparsity * 100)}.onnx"


def _prunable(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        tensor = tensors.get(node.input[1]) if node.op_type == "Conv" else None
        if tensor is None or tuple(tensor.dims[2:]) not in WINDOWS:
            continue
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if groups == 1 or tensor.dims[1] > 1:
            found[tensor.name] = tensor
    yield from found.values()


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.8, 0.9, 0.95], help="shares of zeros")
    parser.add_argument("--patterns", nargs="+", default=list(BLOCK), choices=BLOCK)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pruned files")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a file for each model, sparsity and pattern."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in arguments.models:
        model = onnx.load(path)
        for pattern in arguments.patterns:
            for sparsity in arguments.sparsity:
                made = arguments.out / file_name(path.stem, sparsity, pattern)
                onnx.save(pruned_model(model, sparsity, pattern), made)
                print(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
