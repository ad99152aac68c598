"""rnn, gru and lstm against onnxruntime and ONNX's node tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.single_op import infer_error, node_cases, run_node_case, run_op, run_ort

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
OUTPUTS = {"rnn": 2, "gru": 2, "lstm": 3}
ACTIVATIONS = {
    "rnn": ["LeakyRelu"],
    "gru": ["HardSigmoid", "Softsign"],
    "lstm": ["HardSigmoid", "ScaledTanh", "Elu"],
}
PARAMETERS: dict[str, dict] = {
    "rnn": {},
    "gru": {"activation_alpha": [0.3]},
    "lstm": {"activation_alpha": [0.2, 0.7, 0.6], "activation_beta": [0.4, 0.8]},
}

CASES = [(case, name) for name in GATES for case in node_cases(name, name.upper()).values()]


@pytest.mark.parametrize(("case", "name"), CASES, ids=lambda value: getattr(value, "name", value))
def test_onnx_node_tests(case: Any, name: str) -> None:
    for ours, expected in run_node_case(case, name):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def make_inputs(name: str, directions: int, *, lens: bool = False, peepholes: bool = False) -> list:
    rng = np.random.default_rng(0)
    steps, batch, size, hidden = 5, 3, 4, 6
    rows = GATES[name] * hidden

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / 2).astype(np.float32)

    lengths = np.array([5, 2, 3], np.int32) if lens else None
    inputs = [draw(steps, batch, size), draw(directions, rows, size), draw(directions, rows, hidden)]
    inputs += [draw(directions, 2 * rows), lengths, draw(directions, batch, hidden)]
    if name == "lstm":
        inputs += [draw(directions, batch, hidden), draw(directions, 3 * hidden) if peepholes else None]
    return inputs


def check(name: str, inputs: list, **attrs: Any) -> None:
    ours = run_op(name, inputs, outputs=OUTPUTS[name], hidden_size=6, **attrs)
    theirs = run_ort(name.upper(), inputs, outputs=OUTPUTS[name], opset=14, hidden_size=6, **attrs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lens", [False, True])
@pytest.mark.parametrize("name", GATES)
def test_directions_and_lengths_agree_with_onnxruntime(name: str, lens: bool, direction: str) -> None:
    check(name, make_inputs(name, 2 if direction == "bidirectional" else 1, lens=lens), direction=direction)


@pytest.mark.parametrize("name", GATES)
def test_activations_agree_with_onnxruntime(name: str) -> None:
    check(name, make_inputs(name, 1), activations=ACTIVATIONS[name], **PARAMETERS[name])


def test_gru_linear_before_reset_agrees_with_onnxruntime() -> None:
    check("gru", make_inputs("gru", 1), linear_before_reset=1)


def test_lstm_peepholes_and_coupled_gates_agree_with_onnxruntime() -> None:
    check("lstm", make_inputs("lstm", 1, peepholes=True))
    check("lstm", make_inputs("lstm", 1), input_forget=1)


def test_clip_bounds_what_activations_see() -> None:
    inputs = make_inputs("rnn", 1)
    (y, _) = run_op("rnn", inputs, outputs=2, clip=0.1, activations=["Affine"])
    assert np.abs(y).max() == np.float32(0.1)
    check("gru", make_inputs("gru", 1), clip=0.3)


def test_batch_first_layout_is_a_transpose() -> None:
    inputs = make_inputs("lstm", 2)
    plain = run_op("lstm", inputs, outputs=3, direction="bidirectional")
    swapped = [inputs[0].swapaxes(0, 1), *inputs[1:5], *(a.swapaxes(0, 1) for a in inputs[5:7])]
    y, h, c = run_op("lstm", swapped, outputs=3, direction="bidirectional", layout=1)
    np.testing.assert_array_equal(y.transpose(1, 2, 0, 3), plain[0])
    np.testing.assert_array_equal(h.swapaxes(0, 1), plain[1])
    np.testing.assert_array_equal(c.swapaxes(0, 1), plain[2])


@pytest.mark.parametrize(
    ("name", "shapes", "attrs", "parts"),
    [
        ("lstm", [(5, 3, 4), (1, 24, 5), (1, 24, 6)], {}, ["w f32[1, 24, 5]", "[1, 24, 4]"]),
        ("gru", [(5, 3, 4), (1, 18, 4), (1, 18, 6)], {"direction": "bidirectional"}, ["[2, 18, 4]"]),
        ("gru", [(5, 3, 4), (1, 18, 4), (1, 18, 6)], {"direction": "up"}, ["direction 'up'"]),
        ("rnn", [(5, 3, 4), (1, 6, 4), (1, 6, 6)], {"activations": ("Sine",)}, ["Sine"]),
        ("rnn", [(5, 3, 4), (1, 6, 4), (1, 6, 6)], {"hidden_size": 7}, ["hidden_size is 7", "6"]),
        (
            "rnn",
            [(5, 3, 4), (1, 6, 4), (1, 6, 6)],
            {"activations": ("ScaledTanh",)},
            ["ScaledTanh", "activation_alpha"],
        ),
        ("gru", [(5, 3, 4), (1, 18, 4), (1, 18, 6)], {"activations": ("Tanh",)}, ["1 activations", "takes 2"]),
    ],
)
def test_contradictions_are_named(name: str, shapes: list, attrs: dict, parts: list[str]) -> None:
    message = infer_error(name, shapes, **attrs)
    assert all(part in message for part in parts), message
