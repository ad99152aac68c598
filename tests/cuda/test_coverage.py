"""What the CPU has kernels for, GPUs have kernels for too: by name, by another kernel, or with a reason why not."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.runtime import cpu, cuda
from cnnc.runtime.cuda.target import cuda_target
from tests.lower.test_sparse_matrix import byte_product, decided, product

OTHERS = {
    "conv.bf16.blocked.direct": "conv.mma.implicit_gemm",
    "conv.bf16.blocked.pointwise": "conv.mma.implicit_gemm",
    "conv.f32.blocked.depthwise": "conv.f32.depthwise",
    "conv.f32.blocked.direct": "conv.f32.implicit_gemm",
    "conv.f32.blocked.grouped": "conv.f32.grouped",
    "conv.f32.blocked.plain_input": "conv.f32.plain_input",
    "conv.f32.blocked.plain_winograd": "conv.f32.plain_input",
    "conv.f32.blocked.pointwise": "conv.f32.implicit_gemm",
    "conv.f32.blocked.sparse": "conv.f32.sparse",
    "conv.f32.blocked.window": "conv.f32.implicit_gemm",
    "conv.f32.blocked.winograd": "conv.f32.winograd.products",
    "conv.u8.blocked.depthwise": "conv.u8.depthwise",
    "conv.u8.blocked.direct": "conv.u8.implicit_gemm",
    "conv.u8.blocked.plain_input": "conv.u8.plain_input",
    "conv.u8.blocked.pointwise": "conv.u8.implicit_gemm",
    "conv_transpose.f32.blocked": "conv.f32.implicit_gemm",
    "elementwise.tape": "elementwise.chain",
    "gemm.bf16": "gemm.mma",
    "gemm.f32": "gemm.f32.few_rows",
    "gemm.u8": "gemm.u8.warps",
}
"""CPU kernel -> the GPU kernel that computes the same under a contract of its own."""

_DENSE = "sparse weights multiply as dense ones: the rules of dense weights take the node"
ABSENT = {
    "conv.f32.blocked.strassen": "its extra sums move more bytes than the products that they save are worth",
    "conv.u8.blocked.sparse": _DENSE,
    "conv.u8.blocked.winograd": "transformed bytes take 16 bits, so nothing multiplies four at once",
    "gemm.f32.sparse_lists": _DENSE,
    "gemm.f32.sparse_masks": _DENSE,
    "gemm.f32.sparse_rows": _DENSE,
    "gemm.u8.sparse_lists": _DENSE,
    "gemm.u8.sparse_masks": _DENSE,
    "gemm.u8.sparse_rows": _DENSE,
    "worker_loop": "it hands work items to threads, which a launch does",
}
"""CPU kernel -> why GPUs have none; another kernel computes the node."""


def test_every_kernel_has_its_equal():
    missing = set(cpu.kernel_names()) - set(cuda.kernel_names()) - OTHERS.keys() - ABSENT.keys()
    assert not missing


def test_the_tables_are_up_to_date():
    assert set(OTHERS.values()) <= set(cuda.kernel_names())
    assert not OTHERS.keys() & ABSENT.keys()
    named = OTHERS.keys() | ABSENT.keys()
    assert named <= set(cpu.kernel_names())
    assert not named & set(cuda.kernel_names())


def test_equal_names_take_equal_arguments():
    """So that one lowering serves both."""
    for name in set(cpu.kernel_names()) & set(cuda.kernel_names()):
        ours, theirs = cuda.kernel_def(name), cpu.kernel_def(name)
        assert (ours.buffers, ours.sizes, ours.writes) == (theirs.buffers, theirs.sizes, theirs.writes), name


@pytest.mark.parametrize("make", [product, byte_product])
def test_sparse_matrices_are_not_left_to_the_host(make):
    kept = np.random.default_rng(0).random((4096, 1000)) < 0.02
    weights = np.where(kept, 3, 0).astype(np.float32 if make is product else np.int8)
    assert ".sparse" in decided(make(weights)).chosen
    assert decided(make(weights), cuda_target()).chosen != "host"
