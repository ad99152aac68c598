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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import cnnc

PATTERNS = ("unstructured", "block4")
WINDOWS = ((1, 1), (3, 3))
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def pruned_model(path: Path, sparsity: float, pattern: str) -> onnx.ModelProto:
    """The model with this share of zeros in each convolution that is to be pruned, 0 to 1."""
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    pruned = cnnc.prune(
        path, sparsity=sparsity, pattern=pattern, scope="layer", prune_first=True, exclude=_others(model)
    )
    for name, mask in pruned.masks.items():
        weight = numpy_helper.to_array(tensors[name])
        tensors[name].CopyFrom(numpy_helper.from_array(np.where(mask, weight, np.zeros_like(weight)), name))
    return model


def file_name(name: str, sparsity: float, pattern: str) -> str:
    """Such as resnet50_u90.onnx."""
    return f"{name}_{pattern[0]}{round(sparsity * 100)}.onnx"


def _others(model: onnx.ModelProto) -> list[str]:
    """Names of the weights that ``cnnc.prune`` would prune and that stay dense here."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    weights = {node.input[1]: node.op_type for node in model.graph.node if node.op_type in LAYERS}
    return [name for name, op in weights.items() if op != "Conv" or shapes.get(name, ())[2:] not in WINDOWS]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.8, 0.9, 0.95], help="shares of zeros")
    parser.add_argument("--patterns", nargs="+", default=PATTERNS, choices=PATTERNS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pruned files")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write a file for each model, sparsity and pattern."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for path in arguments.models:
        for pattern in arguments.patterns:
            for sparsity in arguments.sparsity:
                made = arguments.out / file_name(path.stem, sparsity, pattern)
                onnx.save(pruned_model(path, sparsity, pattern), made)
                print(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
