"""conv and conv_transpose against onnxruntime and ONNX's node tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnc.ops import OPS
from cnnc.ops.activation import KINDS, Activation
from cnnc.types import DType, TensorType
from tests.ops.single_op import infer_error, make_attrs, node_cases, run_node_case, run_op, run_ort

F32_TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def random(seed: int, *shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@st.composite
def windows(draw: st.DrawFn) -> dict:
    rank = draw(st.integers(1, 3))
    sizes = [draw(st.integers(5, 9)) for _ in range(rank)]
    auto = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    attrs: dict = {
        "auto_pad": auto,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "group": draw(st.sampled_from([1, 2, 3])),
    }
    # onnxruntime refuses dilation with SAME padding
    attrs["dilations"] = [draw(st.integers(1, 2)) if auto in ("NOTSET", "VALID") else 1 for _ in range(rank)]
    if auto == "NOTSET":
        attrs["pads"] = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    return {
        "sizes": sizes,
        "kernel": kernel,
        "attrs": attrs,
        "channels": draw(st.integers(1, 3)),
        "out": draw(st.integers(1, 3)),
    }


@given(windows(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_conv_agrees_with_onnxruntime(case: dict, with_bias: bool) -> None:
    group = case["attrs"]["group"]
    x = random(0, 2, case["channels"] * group, *case["sizes"])
    w = random(1, case["out"] * group, case["channels"], *case["kernel"])
    inputs = [x, w] + ([random(2, w.shape[0])] if with_bias else [])
    (ours,) = run_op("conv", inputs, **case["attrs"])
    (theirs,) = run_ort("Conv", inputs, **case["attrs"])
    np.testing.assert_allclose(ours, theirs, **F32_TOLERANCE)


@given(windows(), st.lists(st.integers(0, 1), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_conv_transpose_agrees_with_onnxruntime(case: dict, output_padding: list[int]) -> None:
    attrs = dict(case["attrs"])
    group, rank = attrs["group"], len(case["sizes"])
    if attrs["auto_pad"] in ("NOTSET", "VALID"):
        attrs["output_padding"] = [
            min(extra, stride - 1) for extra, stride in zip(output_padding[:rank], attrs["strides"])
        ]
    else:
        # A kernel smaller than the stride leaves the SAME output (size * stride) longer than what the input reaches.
        # The specification keeps that size, onnxruntime cuts it.
        assume(all(kernel >= stride for kernel, stride in zip(case["kernel"], attrs["strides"])))
    x = random(0, 2, case["channels"] * group, *case["sizes"])
    w = random(1, x.shape[1], case["out"], *case["kernel"])
    inputs = [x, w, random(2, case["out"] * group)]
    (ours,) = run_op("conv_transpose", inputs, **attrs)
    (theirs,) = run_ort("ConvTranspose", inputs, **attrs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, **F32_TOLERANCE)


@pytest.mark.parametrize("case", list(node_cases("conv", "Conv").values()), ids=lambda case: case.name)
def test_conv_node_tests(case: object) -> None:
    for ours, expected in run_node_case(case, "conv"):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "case", list(node_cases("convtranspose", "ConvTranspose").values()), ids=lambda case: case.name
)
def test_conv_transpose_node_tests(case: object) -> None:
    for ours, expected in run_node_case(case, "conv_transpose"):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_epilogue_is_activation_of_biased_sum_with_residual(kind: str) -> None:
    x, w, bias = random(0, 2, 4, 5, 7), random(1, 6, 4, 3, 3), random(2, 6)
    residual, slopes = random(3, 2, 6, 3, 5), random(4, 6)
    activation = Activation(kind, -0.3 if kind == "clip" else 0.2, 0.4)
    inputs = [x, w, bias, residual] + ([slopes] if kind == "prelu" else [])
    (fused,) = run_op("conv", inputs, activation=activation)
    plain = run_op("conv", [x, w, bias])[0] + residual
    onnx = {
        "none": ("Identity", {}),
        "relu": ("Relu", {}),
        "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
        "sigmoid": ("Sigmoid", {}),
        "tanh": ("Tanh", {}),
        "hard_sigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.4}),
        "hard_swish": ("HardSwish", {}),
        "mish": ("Mish", {}),
        "softplus": ("Softplus", {}),
        "gelu": ("Gelu", {}),
        "gelu_tanh": ("Gelu", {"approximate": "tanh"}),
        "elu": ("Elu", {"alpha": 0.2}),
        "selu": ("Selu", {}),
    }
    if kind == "clip":
        expected = run_ort("Clip", [plain, np.array(-0.3, np.float32), np.array(0.4, np.float32)])[0]
    elif kind == "prelu":
        expected = run_ort("PRelu", [plain, slopes.reshape(6, 1, 1)])[0]
    elif kind == "silu":
        expected = plain * run_ort("Sigmoid", [plain])[0]
    else:
        op_type, attrs = onnx[kind]
        expected = run_ort(op_type, [plain], **attrs)[0]
    np.testing.assert_allclose(fused, expected, rtol=1e-5, atol=2e-6)


def test_prologue_is_a_scale_shift_in_front_and_padding_stays_zero() -> None:
    x, w, bias = random(0, 2, 4, 5, 7), random(1, 6, 4, 3, 3), random(2, 6)
    scale, shift = random(3, 4), random(4, 4)
    inputs = [x, w, bias, None, None, scale, shift]
    (fused,) = run_op("conv", inputs, pads=(1, 2, 0, 1), prologue=Activation("relu"))
    (normal,) = run_op("scale_shift", [x, scale, shift], activation=Activation("relu"))
    assert np.array_equal(fused, run_op("conv", [normal, w, bias], pads=(1, 2, 0, 1))[0])


def test_gate_multiplies_the_input() -> None:
    x, w, gate = random(0, 2, 4, 5, 7), random(1, 6, 4, 1, 1), random(2, 2, 4, 1, 1)
    (fused,) = run_op("conv", [x, w, *[None] * 5, gate])
    assert np.array_equal(fused, run_op("conv", [x * gate, w])[0])


def test_float16_is_summed_in_float32_and_rounded_once() -> None:
    x, w = random(0, 1, 64, 5, 5, dtype=np.float16), random(1, 8, 64, 3, 3, dtype=np.float16)
    (narrow,) = run_op("conv", [x, w])
    (exact,) = run_op("conv", [x.astype(np.float64), w.astype(np.float64)])
    np.testing.assert_allclose(narrow, exact, rtol=2**-10, atol=1e-3)


def test_empty_batch_gives_an_empty_result() -> None:
    (y,) = run_op("conv", [random(0, 0, 3, 5, 5), random(1, 4, 3, 3, 3)])
    assert y.shape == (0, 4, 3, 3)


def test_macs_count_weights_per_output_element() -> None:
    op = OPS["conv"]
    attrs = make_attrs("conv", {"group": 2, "strides": (2, 2)})
    types = [TensorType((1, 4, 9, 9), DType.F32), TensorType((6, 2, 3, 3), DType.F32)]
    assert op.macs is not None
    assert op.macs(attrs, types, [TensorType((1, 6, 4, 4), DType.F32)]) == 6 * 4 * 4 * 2 * 9


CONTRADICTIONS = [
    ("conv", [(1, 4, 5, 5), (6, 3, 3, 3)], {}, ["4 channels", "take 3"]),
    ("conv", [(1, 4, 5, 5), (5, 2, 3, 3)], {"group": 2}, ["5 output channels", "2 groups"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3)], {}, ["rank 3", "rank 4"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 7, 3)], {}, ["window of 7", "size 5"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"dilations": (3, 1)}, ["window of 7", "size 5"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3), (5,)], {}, ["5 elements", "6 channels"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"pads": (1, 1)}, ["pads", "need 4"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"pads": (-1, 0, 0, 0)}, ["negative"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"strides": (0, 1)}, ["strides", "outside 1"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"kernel_shape": (5, 5)}, ["kernel_shape", "6, 4, 3, 3"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"auto_pad": "SAME"}, ["auto_pad", "SAME_UPPER"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3), None, (1, 6, 2, 2)], {}, ["2", "3"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3)], {"activation": Activation("prelu")}, ["prelu", "slopes"]),
    ("conv", [(1, 4, 5, 5), (6, 4, 3, 3), None, None, (6,)], {}, ["slopes", "none"]),
    ("conv_transpose", [(1, 4, 5, 5), (3, 6, 3, 3)], {}, ["4 channels", "take 3"]),
    ("conv_transpose", [(1, 4, 5, 5), (4, 6, 3, 3)], {"group": 3}, ["4 input channels", "3 groups"]),
    ("conv_transpose", [(1, 4, 2, 2), (4, 6, 1, 1)], {"pads": (1, 1, 1, 1)}, ["size 0"]),
]


@pytest.mark.parametrize(("name", "shapes", "attrs", "parts"), CONTRADICTIONS)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message
