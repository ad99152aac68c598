"""Whole models import: the zoo of exported graphs, and trained models of public repositories.

They lie in a folder beside the project (or in ``$CNNC_SHARED``); the tests are skipped where it is absent.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cnnc.frontends import import_onnx
from cnnc.ir.graph import Graph

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CNNC_SHARED", ROOT.parent / "shared"))
ZOO = sorted(path.stem for path in (SHARED / "zoo" / "light").glob("*.onnx"))
REAL = sorted((SHARED / "models" / "real").glob("*/*.onnx"))
QUICK = (
    "act_zoo",
    "c2_shufflenet",
    "cbam_se",
    "crnn_lstm",
    "hand_attr_zoo",
    "hand_opset7_mnist",
    "lenet5_view",
    "norm_zoo_ts13",
    "sppnet_dyn20",
    "unet_bilinear",
)
"""One model for each kind of difficulty; the whole zoo is slow."""


@cache
def zoo() -> Any:
    """The zoo's own module that fills the stripped weights in."""
    spec = importlib.util.spec_from_file_location("materialize", SHARED / "zoo" / "materialize.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(graph: Graph) -> None:
    """The graph has typed nodes in order, and every output has a rank."""
    assert len(graph) > 0
    assert graph.outputs and all(value.type.rank >= 0 for value in graph.outputs)
    seen = {id(value) for value in graph.inputs} | {id(value) for value in graph.constants}
    for node in graph.nodes:
        assert node.loc and node.loc[0]
        assert all(value is None or id(value) in seen for value in node.inputs)
        seen |= {id(value) for value in node.outputs}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ZOO])
def test_zoo(name: str) -> None:
    check(import_onnx(zoo().materialize(str(SHARED / "zoo" / "light" / f"{name}.onnx"))))


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_trained_models(path: Path) -> None:
    check(import_onnx(path))


@pytest.mark.skipif(not ZOO, reason="the shared models are not here")
def test_the_zoo_is_whole() -> None:
    assert len(ZOO) == 102
    assert set(QUICK) <= set(ZOO)
    assert len(REAL) == 21


@pytest.mark.skipif(not ZOO, reason="the shared models are not here")
def test_shape_chains_keep_the_batch_symbolic() -> None:
    """A view written as Shape, Gather, Concat and Reshape ends in a shape of the batch, not of unknowns."""
    graph = import_onnx(zoo().materialize(str(SHARED / "zoo" / "light" / "lenet5_view.onnx")))
    (batch,) = {graph.inputs[0].type.shape[0]}
    assert all(value.type.shape[0] == batch for value in graph.outputs)
