"""The NumPy meaning of every op, by op name: the interpreter's truth, and what the runtime runs for the long tail.

A function takes the op's inputs as arrays (None where absent) in ONNX order, and its attributes as keywords; it returns
one array or a tuple. Floats are computed in the dtype of the inputs (f16 and bf16 in f32, rounded once at the end), so
that the same code in float64 is the reference that errors are measured against.
"""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable
from typing import Any

from cnnc.errors import InternalError
from cnnc.extension_points import ExtensionPoint

_FUNCTIONS: dict[str, str] = {
    "elementwise_chain": "elementwise_chain",
    **dict.fromkeys(("conv", "conv_transpose"), "conv"),
    **dict.fromkeys(("max_pool", "average_pool", "lp_pool", "max_unpool"), "pool"),
    **dict.fromkeys(("global_average_pool", "global_max_pool", "global_lp_pool"), "pool"),
    **dict.fromkeys(("batch_normalization", "scale_shift", "instance_normalization"), "normalization"),
    **dict.fromkeys(("group_normalization", "layer_normalization", "rms_normalization"), "normalization"),
    **dict.fromkeys(("lp_normalization", "mean_variance_normalization", "lrn"), "normalization"),
    **dict.fromkeys(("add", "sub", "mul", "div", "mod", "pow", "max", "min", "sum", "mean"), "arithmetic"),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "bit_shift", "bit_cast"), "bitwise"),
    **dict.fromkeys(("and", "or", "xor", "not"), "bitwise"),
    **dict.fromkeys(("equal", "greater", "greater_or_equal", "less", "less_or_equal"), "comparison"),
    **dict.fromkeys(("is_nan", "is_inf", "where"), "comparison"),
    **dict.fromkeys(("cast", "cast_like", "identity"), "conversion"),
    **dict.fromkeys(("abs", "neg", "sign", "ceil", "floor", "round", "reciprocal", "sqrt", "exp", "log"), "elementary"),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "erf"), "elementary"),
    **dict.fromkeys(("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"), "elementary"),
    **dict.fromkeys(("gather", "gather_elements", "gather_nd"), "gathering"),
    **dict.fromkeys(("scatter_elements", "scatter_nd", "reverse_sequence"), "gathering"),
    **dict.fromkeys(("constant_of_shape", "eye_like", "one_hot", "range", "trilu"), "generation"),
    **dict.fromkeys(("matmul", "matmul_integer", "gemm", "einsum", "det"), "linear"),
    **dict.fromkeys(("relu", "clip", "prelu", "leaky_relu", "thresholded_relu", "elu", "celu", "selu"), "nonlinearity"),
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "hard_swish", "swish", "softplus", "softsign"), "nonlinearity"),
    **dict.fromkeys(("mish", "gelu", "shrink", "swi_glu"), "nonlinearity"),
    **dict.fromkeys(("reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min"), "reduction"),
    **dict.fromkeys(("reduce_l1", "reduce_l2", "reduce_sum_square"), "reduction"),
    **dict.fromkeys(("reduce_log_sum", "reduce_log_sum_exp"), "reduction"),
    **dict.fromkeys(("arg_max", "arg_min", "cum_sum", "cum_prod"), "reduction"),
    **dict.fromkeys(("shape", "size", "dims", "reshape", "flatten"), "reshaping"),
    **dict.fromkeys(("squeeze", "unsqueeze", "transpose", "expand"), "reshaping"),
    **dict.fromkeys(("top_k", "unique", "non_zero", "compress"), "selection"),
    **dict.fromkeys(("concat", "split", "tile", "slice", "pad"), "slicing"),
    **dict.fromkeys(("softmax", "log_softmax", "hardmax"), "softmax"),
    **dict.fromkeys(("convert_layout", "channel_shuffle", "depth_to_space", "space_to_depth"), "layout"),
    **dict.fromkeys(("center_crop_pad", "col2im", "dropout"), "layout"),
    **dict.fromkeys(("quantize_linear", "dequantize_linear", "dynamic_quantize_linear"), "quantization"),
    "resize": "resize",
    **dict.fromkeys(("rnn", "gru", "lstm"), "recurrent"),
    **dict.fromkeys(("grid_sample", "affine_grid", "deform_conv"), "sampling"),
    **dict.fromkeys(("roi_align", "max_roi_pool", "non_max_suppression"), "detection"),
    **dict.fromkeys(("conv_integer", "q_linear_conv", "q_linear_matmul"), "quantized"),
    **dict.fromkeys(("q_linear_gemm", "q_linear_add", "q_linear_mul", "q_linear_concat", "requantize"), "quantized"),
    "lookup": "quantized",
    **dict.fromkeys(("q_linear_leaky_relu", "q_linear_sigmoid"), "quantized"),
    **dict.fromkeys(("q_linear_average_pool", "q_linear_global_average_pool"), "quantized"),
}
"""Op name -> module of this package with a function of that name (``not_`` where it is a Python keyword)."""


def _refusal(name: str, thing: Any) -> str | None:
    return None if callable(thing) else f"a {type(thing).__name__} cannot be called"


EXTENSIONS: ExtensionPoint[Callable[..., Any]] = ExtensionPoint(
    "cnnc.host_functions", "host function", _refusal, own=_FUNCTIONS.keys
)
"""Meanings of ops that other packages define."""


def function(name: str) -> Callable[..., Any]:
    """The NumPy function of an op.

    Raises:
        InternalError: no such op; artifacts are checked with ``has_function`` before anything runs.
        ExtensionError: the package that offers it is broken.
    """
    module = _FUNCTIONS.get(name)
    if module is None:
        added = EXTENSIONS.find(name)
        if added is None:
            raise InternalError(f"no host function is called {name!r}")
        return added
    spelled = f"{name}_" if keyword.iskeyword(name) else name
    found: Callable[..., Any] = getattr(importlib.import_module(f"cnnc.runtime.host.{module}"), spelled)
    return found


def has_function(name: str) -> bool:
    """Whether ``function(name)`` would succeed."""
    return name in _FUNCTIONS or EXTENSIONS.find(name) is not None
