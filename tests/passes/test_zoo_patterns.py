"""What the pipeline makes of exported networks: which chains it must recognize, and what may be left of them.

The networks lie in a folder beside the project (or in ``$CNNC_SHARED``); the tests are skipped where it is absent.
"""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cnnc.frontends import import_onnx
from cnnc.ir import Graph, Notes, Value
from cnnc.passes import PIPELINE, PassManager, parse_pipeline
from tests.passes.sketch import Sketch, run_pass

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CNNC_SHARED", ROOT.parent / "shared"))
needs_zoo = pytest.mark.skipif(not (SHARED / "zoo").is_dir(), reason="the model zoo is not here (CNNC_SHARED)")

REWRITES = ",".join(
    row for _, row, _ in PIPELINE if not row.startswith(("fuse-elementwise", "mark-optimised", "assign-layouts"))
)
"""The pipeline up to where the remaining element-wise ops become chains."""


@cache
def _zoo() -> Any:
    spec = importlib.util.spec_from_file_location("materialize", SHARED / "zoo" / "materialize.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _optimized(name: str, *, check: bool = False) -> Graph:
    graph = import_onnx(_zoo().materialize(str(SHARED / "zoo" / "light" / f"{name}.onnx")))
    PassManager(parse_pipeline(REWRITES), check=check).run(graph, Notes())
    return graph


def _census(graph: Graph) -> Counter[str]:
    """Ops by name, and the activations and residuals of their epilogues."""
    census: Counter[str] = Counter()
    for node in graph.nodes:
        census[node.op] += 1
        attrs: Any = node.attrs
        activation = getattr(attrs, "activation", None)
        if activation is not None and not activation.is_identity:
            census[f"+{activation.kind}"] += 1
        if node.op == "conv" and node.optional(3) is not None:
            census["+residual"] += 1
        if node.op == "conv" and node.optional(5) is not None:
            census["+prologue"] += 1
    return census


@needs_zoo
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", {"conv": 20, "+relu": 17, "+residual": 8, "relu": 0, "add": 0, "batch_normalization": 0}),
        ("resnet18_dyn20", {"conv": 20, "+relu": 17, "+residual": 8, "relu": 0, "add": 0}),
        ("mobilenet_v1", {"conv": 27, "+relu": 27, "scale_shift": 0, "batch_normalization": 0}),
        ("mobilenet_v2", {"conv": 52, "+clip": 35, "+residual": 10, "clip": 0, "batch_normalization": 0}),
        ("mobilenet_v3_small", {"+hard_swish": 19, "hard_swish": 0, "hard_sigmoid": 0, "+hard_sigmoid": 9}),
        ("googlenet", {"conv": 57, "+relu": 57, "relu": 0, "batch_normalization": 0, "scale_shift": 0}),
        ("efficientnet_b0", {"+silu": 49, "+sigmoid": 16, "+residual": 9, "sigmoid": 0, "swish": 0}),
        ("efficientnet_b0_dyn20", {"+silu": 49, "+sigmoid": 16, "global_average_pool": 17, "reduce_mean": 0}),
        ("yolov3_tiny", {"conv": 13, "+leaky_relu": 11, "leaky_relu": 0, "batch_normalization": 0}),
        ("zfnet", {"lrn": 2, "average_pool": 0, "pad": 0, "pow": 0, "+relu": 7}),
        ("alexnet", {"conv": 5, "gemm": 3, "+relu": 7}),
        ("norm_zoo", {"group_normalization": 2, "lrn": 1, "layer_normalization": 2, "average_pool": 0}),
        ("norm_zoo_ts13", {"group_normalization": 2, "lrn": 1, "layer_normalization": 2, "average_pool": 0}),
        ("densenet121", {"batch_normalization": 0, "scale_shift": 4, "+prologue": 58, "relu": 0}),
        ("cae", {"conv": 4, "conv_transpose": 4, "relu": 0, "sigmoid": 0}),
    ],
)
def test_what_is_left(name: str, expected: dict[str, int]) -> None:
    census = _census(_optimized(name))
    assert {op: census[op] for op in expected} == expected


@needs_zoo
@pytest.mark.parametrize("name", ["act_zoo", "act_zoo_ts13", "act_zoo_dyn18", "act_zoo_dyn20"])
def test_activations_of_every_exporter(name: str) -> None:
    census = _census(_optimized(name, check=True))
    for kind in ("silu", "mish", "gelu", "gelu_tanh", "hard_swish", "hard_sigmoid", "elu", "selu", "prelu", "tanh"):
        assert census[f"+{kind}"] >= 1, kind
    assert not census.keys() & {"swish", "mish", "gelu", "hard_swish", "hard_sigmoid", "erf", "tanh", "prelu", "elu"}


@needs_zoo
@pytest.mark.parametrize("name", ["norm_zoo", "cbam_se", "hand_opset9", "lenet5_view", "multitask"])
def test_results_stay_pass_by_pass(name: str) -> None:
    _optimized(name, check=True)


def _inverted_residual(s: Sketch, x: Value, name: str) -> Value:
    y = s.op("conv", x, s.normal(12, 6, 1, 1), name=f"{name}.expand")
    y = s.op("clip", s.batch_norm(y, f"{name}.bn0"), s.const(0.0), s.const(6.0))
    y = s.op("conv", y, s.normal(12, 1, 3, 3), group=12, pads=(1, 1, 1, 1), name=f"{name}.depthwise")
    y = s.batch_norm(y, f"{name}.bn1")
    y = s.op("mul", y, s.op("sigmoid", y))
    y = s.op("conv", y, s.normal(6, 12, 1, 1), name=f"{name}.project")
    return s.op("add", x, s.batch_norm(y, f"{name}.bn2"))


def test_a_small_mobile_net() -> None:
    """Convolutions with everything folded into them are all that is left of two blocks and a classifier."""
    s = Sketch()
    x = s.op("div", s.op("sub", s.input("N", 3, 8, 8), s.normal(3, 1, 1)), s.positive(1, 3, 1, 1))
    y = s.op("relu", s.batch_norm(s.op("conv", x, s.normal(6, 3, 1, 1)), "stem"))
    y = _inverted_residual(s, _inverted_residual(s, y, "a"), "b")
    y = s.op("reduce_mean", y, s.ints(2, 3), keepdims=0)
    y = s.op("add", s.op("matmul", y, s.normal(6, 5)), s.normal(5))
    outcome = run_pass(s.returns(y), REWRITES)
    census = _census(outcome.graph)
    assert census["conv"] == 7
    assert census["gemm"] == census["global_average_pool"] == 1
    assert (census["+relu"], census["+clip"], census["+silu"], census["+residual"]) == (1, 2, 2, 2)
    assert len(outcome.graph) == 10


def test_a_pre_activation_block() -> None:
    """Batch norms that no convolution can take become one scale_shift with its relu; the rest folds."""
    s = Sketch()
    x = s.input("N", 4, 8, 8)
    y = s.op("relu", s.batch_norm(x, "bn0"))
    y = s.op("conv", y, s.normal(4, 4, 3, 3), pads=(1, 1, 1, 1))
    y = s.op("relu", s.batch_norm(y, "bn1"))
    y = s.op("add", s.op("conv", y, s.normal(4, 4, 3, 3), pads=(1, 1, 1, 1)), x)
    census = _census(run_pass(s.returns(s.op("neg", y)), REWRITES).graph)
    assert census == {"scale_shift": 1, "conv": 2, "+relu": 2, "+residual": 1, "neg": 1}
