"""Networks on tensor cores of the emulated GPU: which of their layers, and how far outputs are off. Needs no GPU.

    python benchmarks/cuda_tensor_networks.py resnet18 mobilenet_v2 densenet121
    python benchmarks/cuda_tensor_networks.py --size 64 --architecture sm_75 resnet50

Networks of ``cnnc.models`` with random weights at batch 1 and small images. The error of an output is its largest
difference from a float64 evaluation, over that one's standard deviation; beside it that of a float64 evaluation which
rounds the factors of all convolutions and matrix products.
"""

from __future__ import annotations

import argparse

import numpy as np

import cnnc
from cnnc import interp, models
from cnnc.emulation import EmulatedDevice
from cnnc.frontends.dsl.model import model as make_model
from cnnc.ir import Graph
from cnnc.ir.clone import clone_graph
from cnnc.lower.numerics import PRECISION_CHOICES
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.cuda.tensor_precision import precision_refusal
from cnnc.sample_inputs import sample_arrays

PRODUCTS = frozenset(("conv", "gemm", "matmul"))


def graph_of(name: str, size: int) -> Graph:
    """A network of the catalogue at batch 1, and ``size`` x ``size`` pixels."""
    entry = models.find(name)
    [(port, given)] = entry.inputs.items()
    shape = (1, given.shape[1], size, size)
    return make_model(entry.network(), {port: type(given)("N", *shape[1:])}, name=name, seed=0).graph({port: shape})


def rows(name: str, size: int, architecture: str) -> list[str]:
    """Markdown rows of a network, one for each precision that the architecture has."""
    graph = graph_of(name, size)
    feeds = sample_arrays({value.name: value.type for value in graph.inputs}, 1)
    [(output, exact)] = interp.run(graph, feeds, float64=True).items()
    found = []
    for precision in PRECISION_CHOICES:
        if precision != "f32" and precision_refusal(precision, cuda_target(architecture)) is not None:
            continue
        compiled = cnnc.compile(clone_graph(graph), target=f"cuda:{architecture}", precision=precision)
        layers = [item for item in compiled.lowered.decisions if item.op in PRODUCTS]
        on_tensor_cores = sum(".mma" in item.chosen for item in layers)
        [got] = compiled.session(device=EmulatedDevice(architecture)).run(None, feeds)
        rounded = interp.run(graph, feeds, float64=True, precision=precision)[output]
        errors = [np.abs(array - exact).max() / exact.std() for array in (got, rounded)]
        counts = f"{on_tensor_cores} of {len(layers)}"
        found.append(f"| {name} | {precision} | {counts} | {errors[0]:.1e} | {errors[1]:.1e} |")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--architecture", default="sm_80")
    parser.add_argument("--size", type=int, default=64, help="pixels of a side of the image")
    options = parser.parse_args()
    print("| network | precision | layers on tensor cores | error | of rounding alone |")
    print("|---|---|---:|---:|---:|")
    for name in options.networks:
        for row in rows(name, options.size, options.architecture):
            print(row, flush=True)


if __name__ == "__main__":
    main()
