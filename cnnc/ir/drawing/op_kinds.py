"""Kinds of ops, by which drawings colour nodes."""

from __future__ import annotations

from collections.abc import Mapping

INPUT, OUTPUT, OTHER = "input", "output", "other"

COLOURS: Mapping[str, str] = {
    "layer": "#9ec5f4",
    "normalization": "#cfe8b4",
    "activation": "#f8d49a",
    "pool": "#c9b7ee",
    "arithmetic": "#f3b5b5",
    "reduction": "#b8e3df",
    "movement": "#dcdcdc",
    "conversion": "#f0c6e3",
    INPUT: "#ffffff",
    OUTPUT: "#ffffff",
    OTHER: "#ece6d6",
}
"""Fill of each kind, light enough for dark text."""

_OPS = {
    "layer": "conv conv_transpose conv_integer gemm matmul matmul_integer einsum rnn gru lstm deform_conv",
    "normalization": "lrn scale_shift",
    "activation": "relu clip prelu swi_glu shrink leaky_relu thresholded_relu elu celu selu sigmoid hard_sigmoid "
    "hard_swish swish softplus softsign mish gelu tanh softmax log_softmax hardmax",
    "pool": "max_unpool roi_align max_roi_pool",
    "arithmetic": "add sub mul div mod pow max min sum mean elementwise_chain abs neg sign ceil floor round erf "
    "reciprocal sqrt exp log sin cos tan asin acos atan sinh cosh asinh acosh atanh lookup",
    "reduction": "arg_max arg_min cum_sum cum_prod top_k",
    "movement": "reshape flatten squeeze unsqueeze transpose expand concat split tile slice pad gather gather_elements "
    "gather_nd scatter_elements scatter_nd resize channel_shuffle depth_to_space space_to_depth center_crop_pad col2im "
    "identity dropout dims shape size",
    "conversion": "convert_layout cast cast_like quantize_linear dequantize_linear dynamic_quantize_linear requantize",
}
_KIND_OF = {op: kind for kind, ops in _OPS.items() for op in ops.split()}


def kind_of(op: str) -> str:
    """The kind of an op: a key of ``COLOURS``. Ops of other packages are ``other``."""
    plain = op.removeprefix("q_linear_")
    if plain in _KIND_OF:
        return _KIND_OF[plain]
    if plain.endswith("_normalization"):
        return "normalization"
    if plain.endswith("_pool"):
        return "pool"
    return "reduction" if plain.startswith("reduce_") else OTHER
