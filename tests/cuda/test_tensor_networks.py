"""A network on tensor cores of the emulated GPU errs as a float64 evaluation does that rounds its factors."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc import interp
from cnnc.ir.clone import clone_graph
from cnnc.sample_inputs import sample_arrays
from tests.cuda.test_whole_models import LIMIT, bundled, run_on_device

pytestmark = pytest.mark.jit
pytest.importorskip("numba_cuda")

FACTOR = 4
"""Of the error of rounding alone, as for precision bf16 on CPUs."""


@pytest.mark.parametrize(
    "precision", ["f16", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tf32", "bf16"))]
)
def test_errs_no_more_than_the_precision_does(precision: str) -> None:
    graph = bundled("resnet14_fashion-bn.onnx")
    feeds = sample_arrays({value.name: value.type for value in graph.inputs}, 1)
    truth = interp.run(graph, feeds, float64=True)
    emulated = interp.run(graph, feeds, float64=True, precision=precision)
    outputs, host = run_on_device(clone_graph(graph), feeds, precision=precision)
    assert host == []
    for name, exact in truth.items():
        spread = max(float(exact.std()), 1e-30)
        inherent, error = (np.abs(found[name] - exact).max() / spread for found in (emulated, outputs))
        assert error <= max(LIMIT, FACTOR * inherent), f"{name}: {error:.1e}, rounding alone {inherent:.1e}"
