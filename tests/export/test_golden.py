"""A small network, optimised and exported, in ONNX's own text form; ``--update-golden`` rewrites the file."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from cnnc.ir import Notes
from cnnc.passes import PassManager, pipeline
from tests.export.judged import exported
from tests.passes.sketch import Sketch

GOLDEN = Path(__file__).with_name("golden.txt")


def small_network() -> Sketch:
    """Convolution, batch normalization and ReLU6 with a skip connection, a SiLU, a shape chain, and a classifier."""
    sketch = Sketch()
    x = sketch.input("N", 2, 2, 2, name="image")
    y = sketch.op("conv", x, sketch.const([[[[1]], [[2]]], [[[-1]], [[0.5]]]], name="conv.w"), name="conv")
    ones, zeros = sketch.const([1, 1], name="ones"), sketch.const([0, 0], name="zeros")
    y = sketch.op("batch_normalization", y, ones, zeros, zeros, ones, epsilon=0.0, name="bn")
    y = sketch.op("add", y, x, name="skip")
    y = sketch.op("clip", y, sketch.const(0), sketch.const(6), name="relu6")
    y = sketch.op("mul", y, sketch.op("sigmoid", y, name="gate"), name="silu")
    size = sketch.op("gather", sketch.op("shape", y, name="shape"), sketch.ints(0), name="batch")
    flat = sketch.op("reshape", y, sketch.op("concat", size, sketch.ints(-1), axis=0, name="target"), name="flat")
    weights = sketch.const([[1] * 8, [0.5] * 8], name="fc.w")
    sketch.graph.set_outputs([sketch.op("gemm", flat, weights, transB=1, name="fc"), size], ["scores", "size"])
    return sketch


def text_of(sketch: Sketch) -> str:
    model = exported(sketch.graph)
    model.producer_version = "..."
    return onnx.printer.to_text(model) + "\n"


def test_golden(request: pytest.FixtureRequest) -> None:
    imported, optimised = small_network(), small_network()
    passes = [item for item in pipeline(1) if item.ensures != "placed"]
    PassManager(passes).run(optimised.graph, Notes())
    text = f"{text_of(imported)}---\n{text_of(optimised)}"
    if request.config.getoption("--update-golden"):
        GOLDEN.write_text(text, encoding="utf-8")
        return
    assert text == GOLDEN.read_text(encoding="utf-8")
