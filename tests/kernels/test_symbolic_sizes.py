"""Items and scratch of the kernels are expressions: symbolic sizes give what plain ints give."""

import pytest

from cnnc.dims import evaluate, symbol
from cnnc.runtime.cpu import kernel_def

PARAMS = {"rows": 2, "columns": 5, "blocks": 2, "input_block": 16, "lanes": 16, "residual": 0, "activation": "relu"}
PARAMS |= {"bias": 0, "window": 3, "stride": 1, "dilation": 1}
SYMBOLIC = ("N", "D", "H", "W", "OD", "OH", "OW", "pixels", "M", "B0")
KERNELS = (
    "conv.f32.blocked.direct",
    "conv.f32.blocked.pointwise",
    "conv.f32.blocked.depthwise",
    "conv_transpose.f32.blocked",
    "gemm.f32",
    "matmul.f32",
)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("value", [1, 7, 30])
def test_symbolic_sizes_agree_with_ints(name, value):
    kernel = kernel_def(name)
    ints = dict.fromkeys(kernel.sizes, 2) | {size: value for size in SYMBOLIC if size in kernel.sizes}
    symbolic = {size: symbol(size) if size in SYMBOLIC else number for size, number in ints.items()}
    for expression in (kernel.items, kernel.scratch_bytes):
        assert evaluate(expression(symbolic, PARAMS), ints) == expression(ints, PARAMS)
