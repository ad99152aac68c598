"""rnn, gru and lstm: one layer, one or two directions (ONNX, opset 22).

With ``layout`` 0 the input x is [T, N, I], the states are [D, N, H] and the result is [T, D, N, H] for T steps, batch
N, D directions and hidden size H; with ``layout`` 1 the batch comes first: [N, T, I], [N, D, H] and [N, T, D, H].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnc.runtime.host.activation import sigmoid, softplus
from cnnc.runtime.host.precision import widen

Array = NDArray[Any]
Function = Callable[[Array], Array]
Step = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]

_DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "relu": (None, None),
    "tanh": (None, None),
    "sigmoid": (None, None),
    "softsign": (None, None),
    "softplus": (None, None),
    "affine": (1.0, 0.0),
    "leakyrelu": (0.01, None),
    "thresholdedrelu": (1.0, None),
    "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5),
    "elu": (1.0, None),
}
"""Default alpha and beta of each activation; None where it has no such parameter."""

ACTIVATIONS = frozenset(_DEFAULTS)


def rnn(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
) -> tuple[Array, Array]:
    """h = f(x W^T + h R^T + bias) over time; returns every h and the last one.

    Args:
        w: [D, H, I].
        r: [D, H, H].
        b: [D, 2H], for w and r.
    """
    functions = _functions(activations or ("Tanh",) * len(w), activation_alpha, activation_beta, clip)

    def cell(index: int, recurrent: Array, bias_r: Array) -> Step:
        f = functions[index]

        def step(gates: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
            return (f(gates + state[0] @ recurrent.T + bias_r),)

        return step

    y, states = _run(x, w, r, b, sequence_lens, (initial_h,), direction, layout, cell)
    return y, states[0]


def gru(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Array, Array]:
    """Gated recurrent unit; gates in the order update z, reset r, hidden h. Returns every h and the last one.

    Args:
        w: [D, 3H, I].
        r: [D, 3H, H].
        b: [D, 6H], for w and r.
    """
    functions = _functions(activations or ("Sigmoid", "Tanh") * len(w), activation_alpha, activation_beta, clip)
    hidden = r.shape[-1]

    def cell(index: int, recurrent: Array, bias_r: Array) -> Step:
        f, g = functions[2 * index : 2 * index + 2]
        gate_weights, hidden_weights = recurrent[: 2 * hidden].T, recurrent[2 * hidden :].T
        gate_bias, hidden_bias = bias_r[: 2 * hidden], bias_r[2 * hidden :]

        def step(gates: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
            (h,) = state
            update, reset = np.split(f(gates[:, : 2 * hidden] + h @ gate_weights + gate_bias), 2, axis=1)
            if linear_before_reset:
                candidate = g(gates[:, 2 * hidden :] + reset * (h @ hidden_weights + hidden_bias))
            else:
                candidate = g(gates[:, 2 * hidden :] + (reset * h) @ hidden_weights + hidden_bias)
            return ((1 - update) * candidate + update * h,)

        return step

    y, states = _run(x, w, r, b, sequence_lens, (initial_h,), direction, layout, cell)
    return y, states[0]


def lstm(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    *,
    activation_alpha: Sequence[float] = (),
    activation_beta: Sequence[float] = (),
    activations: Sequence[str] = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int | None = None,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Array, Array, Array]:
    """Long short-term memory; gates in the order input, output, forget, cell. Returns every h, the last h and c.

    ``clip`` bounds the input of every activation, as ONNX says; onnxruntime leaves out the one that c goes through.

    Args:
        w: [D, 4H, I].
        r: [D, 4H, H].
        b: [D, 8H], for w and r.
        p: [D, 3H], peepholes of the input, output and forget gates.
    """
    functions = _functions(activations or ("Sigmoid", "Tanh", "Tanh") * len(w), activation_alpha, activation_beta, clip)
    peepholes = np.zeros((len(w), 3 * r.shape[-1]), widen(x).dtype) if p is None else widen(p)

    def cell(index: int, recurrent: Array, bias_r: Array) -> Step:
        f, g, h_function = functions[3 * index : 3 * index + 3]
        peep_input, peep_output, peep_forget = np.split(peepholes[index], 3)

        def step(gates: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
            h, c = state
            into, out, forget, candidate = np.split(gates + h @ recurrent.T + bias_r, 4, axis=1)
            keep_in = f(into + peep_input * c)
            keep = 1 - keep_in if input_forget else f(forget + peep_forget * c)
            c = keep * c + keep_in * g(candidate)
            return f(out + peep_output * c) * h_function(c), c

        return step

    y, states = _run(x, w, r, b, sequence_lens, (initial_h, initial_c), direction, layout, cell)
    return y, states[0], states[1]


def _run(
    x: Array,
    w: Array,
    r: Array,
    b: Array | None,
    sequence_lens: Array | None,
    initial: tuple[Array | None, ...],
    direction: str,
    layout: int,
    cell: Callable[[int, Array, Array], Step],
) -> tuple[Array, tuple[Array, ...]]:
    """Runs every direction; ``cell(index, R, bias of R)`` makes the step function of one."""
    wide = widen(x).swapaxes(0, 1) if layout else widen(x)
    steps, batch, hidden = wide.shape[0], wide.shape[1], r.shape[-1]
    lengths = np.full(batch, steps) if sequence_lens is None else sequence_lens.astype(np.int64)
    biases = np.zeros((len(w), 2 * w.shape[1]), wide.dtype) if b is None else widen(b)
    y = np.zeros((steps, len(w), batch, hidden), wide.dtype)
    last: list[tuple[Array, ...]] = []
    for index in range(len(w)):
        bias_w, bias_r = np.split(biases[index], 2)
        state = tuple(
            np.zeros((batch, hidden), wide.dtype)
            if values is None
            else widen(values)[:, index]
            if layout
            else widen(values)[index]
            for values in initial
        )
        backward = direction == "reverse" or index == 1
        gates = wide @ widen(w[index]).T + bias_w
        y[:, index], state = _scan(gates, state, lengths, backward, cell(index, widen(r[index]), bias_r))
        last.append(state)
    batch_axis = 1 if layout else 0
    finals = tuple(np.stack(states, axis=batch_axis).astype(x.dtype, copy=False) for states in zip(*last))
    return (y.transpose(2, 0, 1, 3) if layout else y).astype(x.dtype, copy=False), finals


def _scan(
    gates: Array, state: tuple[Array, ...], lengths: Array, backward: bool, step: Step
) -> tuple[Array, tuple[Array, ...]]:
    """Steps through gates [T, N, G], each sequence to its own length; what lies beyond is 0."""
    steps, batch = gates.shape[:2]
    rows = np.arange(batch)
    y = np.zeros((steps, *state[0].shape), state[0].dtype)
    for time in range(steps):
        active = time < lengths
        place = np.where(active, lengths - 1 - time, 0) if backward else np.full(batch, time)
        new = step(gates[place, rows], state)
        state = tuple(np.where(active[:, None], after, before) for after, before in zip(new, state))
        y[place[active], rows[active]] = state[0][active]
    return y, state


def _functions(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float], clip: float | None
) -> list[Function]:
    """The activations with their parameters, which are handed out in order to those that take one."""
    alpha_values, beta_values = iter(alphas), iter(betas)
    functions = []
    for name in names:
        alpha, beta = _DEFAULTS[name.lower()]
        functions.append(
            _function(
                name.lower(),
                0.0 if alpha is None else next(alpha_values, alpha),
                0.0 if beta is None else next(beta_values, beta),
                clip,
            )
        )
    return functions


def _function(name: str, alpha: float, beta: float, clip: float | None) -> Function:
    def apply(x: Array) -> Array:
        return _activate(name, x if clip is None else np.clip(x, -clip, clip), alpha, beta)

    return apply


def _activate(name: str, x: Array, alpha: float, beta: float) -> Array:
    match name:
        case "sigmoid":
            return sigmoid(x)
        case "tanh":
            return np.tanh(x)
        case "relu":
            return np.maximum(x, 0)
        case "softsign":
            return x / (1 + np.abs(x))
        case "softplus":
            return softplus(x)
        case "affine":
            return alpha * x + beta
        case "leakyrelu":
            return np.where(x >= 0, x, alpha * x)
        case "thresholdedrelu":
            return np.where(x >= alpha, x, 0)
        case "scaledtanh":
            return alpha * np.tanh(beta * x)
        case "hardsigmoid":
            return np.clip(alpha * x + beta, 0, 1)
        case _:
            return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))
