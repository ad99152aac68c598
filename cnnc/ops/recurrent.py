"""rnn, gru and lstm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnc.dims import Dim
from cnnc.errors import ModelError
from cnnc.ir.attrs import Attrs
from cnnc.ir.fact import Operands
from cnnc.ops.opdef import OpDef, require_dtype
from cnnc.runtime.host.recurrent import ACTIVATIONS
from cnnc.types import DType, TensorType

_FLOATS = (DType.F16, DType.BF16, DType.F32, DType.F64)


@dataclass(frozen=True, slots=True)
class RNNAttrs(Attrs):
    """ONNX RNN. Empty activations mean Tanh."""

    activation_alpha: tuple[float, ...] = ()
    activation_beta: tuple[float, ...] = ()
    activations: tuple[str, ...] = ()
    clip: float | None = None
    direction: str = "forward"
    hidden_size: int | None = None
    layout: int = 0


@dataclass(frozen=True, slots=True)
class GRUAttrs(Attrs):
    """ONNX GRU. Empty activations mean Sigmoid, Tanh."""

    activation_alpha: tuple[float, ...] = ()
    activation_beta: tuple[float, ...] = ()
    activations: tuple[str, ...] = ()
    clip: float | None = None
    direction: str = "forward"
    hidden_size: int | None = None
    layout: int = 0
    linear_before_reset: int = 0


@dataclass(frozen=True, slots=True)
class LSTMAttrs(Attrs):
    """ONNX LSTM. Empty activations mean Sigmoid, Tanh, Tanh."""

    activation_alpha: tuple[float, ...] = ()
    activation_beta: tuple[float, ...] = ()
    activations: tuple[str, ...] = ()
    clip: float | None = None
    direction: str = "forward"
    hidden_size: int | None = None
    input_forget: int = 0
    layout: int = 0


RecurrentAttrs = RNNAttrs | GRUAttrs | LSTMAttrs

_GATES = {RNNAttrs: 1, GRUAttrs: 3, LSTMAttrs: 4}
_ACTIVATIONS = {RNNAttrs: 1, GRUAttrs: 2, LSTMAttrs: 3}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def _infer(attrs: RecurrentAttrs, operands: Operands) -> tuple[TensorType, ...]:
    x, w, r = operands.need(0), operands.need(1), operands.need(2)
    for name, fact in (("x", x), ("w", w), ("r", r)):
        require_dtype(fact, _FLOATS, name)
        if fact.rank != 3:
            raise ModelError(f"{name} must have rank 3, got {fact.type}")
    _check_attrs(attrs)
    steps, batch = (x.shape[1], x.shape[0]) if attrs.layout else (x.shape[0], x.shape[1])
    hidden, directions, gates = r.shape[2], _DIRECTIONS[attrs.direction], _GATES[type(attrs)]
    if attrs.hidden_size is not None and isinstance(hidden, int) and hidden != attrs.hidden_size:
        raise ModelError(f"hidden_size is {attrs.hidden_size}, but the weights r {r.type} have {hidden}")
    state = (batch, directions, hidden) if attrs.layout else (directions, batch, hidden)
    rows = gates * hidden
    _check(operands, 1, "w", (directions, rows, x.shape[2]))
    _check(operands, 2, "r", (directions, rows, hidden))
    _check(operands, 3, "the bias", (directions, 2 * rows))
    _check(operands, 4, "sequence_lens", (batch,))
    _check(operands, 5, "initial_h", state)
    if isinstance(attrs, LSTMAttrs):
        _check(operands, 6, "initial_c", state)
        _check(operands, 7, "the peepholes", (directions, 3 * hidden))
    lengths = operands[4]
    if lengths is not None:
        require_dtype(lengths, (DType.I32,), "sequence_lens")
    shape = (batch, steps, directions, hidden) if attrs.layout else (steps, directions, batch, hidden)
    last = TensorType(state, x.dtype)
    return (TensorType(shape, x.dtype), last, last)[: operands.outputs]


def _check_attrs(attrs: RecurrentAttrs) -> None:
    if attrs.direction not in _DIRECTIONS:
        raise ModelError(f"direction {attrs.direction!r} is not one of {', '.join(_DIRECTIONS)}")
    unknown = [name for name in attrs.activations if name.lower() not in ACTIVATIONS]
    if unknown:
        raise ModelError(f"activation {unknown[0]!r} is not one that ONNX defines for recurrent ops")
    if "scaledtanh" in map(str.lower, attrs.activations) and not (attrs.activation_alpha and attrs.activation_beta):
        raise ModelError("activation ScaledTanh has no default, but activation_alpha or activation_beta is absent")
    wanted = _ACTIVATIONS[type(attrs)] * _DIRECTIONS[attrs.direction]
    # The default of RNN lists the functions of both directions whatever the direction is.
    if attrs.activations and len(attrs.activations) < wanted:
        raise ModelError(f"{len(attrs.activations)} activations for {attrs.direction}, which takes {wanted}")


def _check(operands: Operands, index: int, name: str, shape: tuple[Dim, ...]) -> None:
    fact = operands[index]
    if fact is None:
        return
    if fact.rank != len(shape) or any(
        isinstance(size, int) and isinstance(wanted, int) and size != wanted for size, wanted in zip(fact.shape, shape)
    ):
        raise ModelError(f"{name} {fact.type} must be {TensorType(shape, fact.dtype)}")


def _macs(attrs: RecurrentAttrs, inputs: Sequence[TensorType | None], outputs: Sequence[TensorType]) -> Dim:
    x, w, r = inputs[:3]
    assert x is not None and w is not None and r is not None
    return x.shape[0] * x.shape[1] * (w.elements + r.elements)


OPS = (
    OpDef("rnn", _infer, attrs=RNNAttrs, inputs=(3, 6), outputs=(1, 2), macs=_macs),
    OpDef("gru", _infer, attrs=GRUAttrs, inputs=(3, 6), outputs=(1, 2), macs=_macs),
    OpDef("lstm", _infer, attrs=LSTMAttrs, inputs=(3, 8), outputs=(1, 3), macs=_macs),
)
