"""Models that onnxruntime's quantizer makes: as QDQ and as QOperator, of every kind of activations and weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import cnnc
from cnnc import interp
from tests.quantization import float_networks

ort = pytest.importorskip("onnxruntime")
quantization = pytest.importorskip("onnxruntime.quantization")

NETWORKS = {"classifier": float_networks.classifier, "decoder": float_networks.decoder}


def feeds(model: onnx.ModelProto, seed: int) -> dict[str, Any]:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    return {"x": np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}


class Samples(quantization.CalibrationDataReader):
    """Three batches of noise."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._batches: Iterator[dict[str, Any]] = iter([feeds(model, seed) for seed in range(1, 4)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def quantized(folder: Path, network: str, opset: int, form: str, kinds: str, **options: bool) -> onnx.ModelProto:
    """The network as onnxruntime quantizes it; ``kinds`` are the types of activations and weights."""
    model = NETWORKS[network](opset)
    types = {"u8": quantization.QuantType.QUInt8, "s8": quantization.QuantType.QInt8}
    activations, weights = kinds.split()
    before, after = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, before)
    logging.disable(logging.WARNING)  # that the model was not prepared
    try:
        quantization.quantize_static(
            before,
            after,
            Samples(model),
            quant_format=quantization.QuantFormat[form],
            activation_type=types[activations],
            weight_type=types[weights],
            **options,
        )
    finally:
        logging.disable(logging.NOTSET)
    return onnx.load(after)


def last_step(compiled: cnnc.CompiledModel) -> float:
    """A step of the dequantized output."""
    node = compiled.graph.outputs[0].producer
    while node.op != "dequantize_linear":
        node = node.input(0).producer
    return float(node.input(1).array)


CASES = [
    # network, opset, form, activations and weights, one scale a channel, seven bits
    ("classifier", 10, "QDQ", "u8 s8", False, False),
    ("classifier", 11, "QOperator", "u8 u8", True, False),
    ("classifier", 13, "QDQ", "u8 s8", True, False),
    ("classifier", 13, "QDQ", "u8 u8", False, False),
    ("classifier", 13, "QDQ", "s8 s8", True, False),
    ("classifier", 13, "QOperator", "s8 s8", False, False),
    ("classifier", 17, "QDQ", "u8 u8", False, True),
    ("classifier", 21, "QOperator", "u8 s8", True, True),
    ("decoder", 13, "QDQ", "u8 u8", True, False),
    ("decoder", 13, "QDQ", "u8 u8", False, True),
    ("decoder", 13, "QDQ", "s8 s8", True, False),
    ("decoder", 13, "QOperator", "s8 s8", True, False),
    ("decoder", 17, "QOperator", "u8 u8", False, False),
    ("decoder", 18, "QDQ", "u8 s8", False, False),
    ("decoder", 21, "QDQ", "u8 s8", True, True),
]


@pytest.mark.jit
@pytest.mark.parametrize(("network", "opset", "form", "kinds", "per_channel", "reduce_range"), CASES)
def test_quantized_by_onnxruntime(
    tmp_path: Path, network: str, opset: int, form: str, kinds: str, per_channel: bool, reduce_range: bool
) -> None:
    model = quantized(tmp_path, network, opset, form, kinds, per_channel=per_channel, reduce_range=reduce_range)
    compiled, inputs = cnnc.compile(model), feeds(model, 9)
    (ours,) = compiled.run(inputs).values()
    (reference,) = interp.run(compiled.graph, inputs).values()
    np.testing.assert_array_equal(ours, reference)
    (theirs,) = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)
    assert np.abs(ours - theirs).max() <= 1.001 * last_step(compiled)
    ops = [node.op for node in compiled.graph.nodes]
    layers = [op for op in ops if op.startswith("q_linear")]
    assert layers
    if form == "QDQ":
        floats = {op for op in ops if op in ("conv", "conv_transpose", "gemm", "matmul", "add", "mul", "pad", "concat")}
        assert floats <= {"concat", "pad"}, floats
    hosts = {decision.op for decision in compiled.lowered.decisions if decision.chosen == "host"}
    assert not hosts & {"q_linear_matmul", "q_linear_gemm"} and ("q_linear_conv" not in hosts or kinds.endswith("u8"))
