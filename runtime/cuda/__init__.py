"""GPU kernels and what runs them. The table: kernel name -> module; modules are imported when a kernel is asked for.

A kernel is a Numba CUDA function ``kernel(args)``. ``args`` is a tuple of int64: addresses of buffers first, then
sizes, in the order of ``KernelDef.args``. Grid and block have one dimension: an item is a block of
``KernelDef.threads`` threads, and a kernel finds its place by dividing ``blockIdx.x`` and ``threadIdx.x``. Launches
run one after another, so what one wrote the next may read. Nothing here imports numba until a kernel is compiled.
"""

from __future__ import annotations

import importlib

from cnnc.errors import InternalError
from cnnc.extension_points import ExtensionPoint
from cnnc.runtime.kernel import KernelDef, kernel_refusal

_MODULES = {
    "arg_reduce": "cnnc.runtime.cuda.arg_reduce",
    "byte.average_pool": "cnnc.runtime.cuda.byte_average_pool",
    "byte.elementwise": "cnnc.runtime.cuda.byte_elementwise",
    "byte.global_average": "cnnc.runtime.cuda.byte_global_average",
    "byte.max_filter": "cnnc.runtime.cuda.byte_max_filter",
    "byte.max_pool": "cnnc.runtime.cuda.byte_max_pool",
    "byte.table": "cnnc.runtime.cuda.byte_table",
    "conv.f32.depthwise": "cnnc.runtime.cuda.conv_depthwise",
    "conv.f32.grouped": "cnnc.runtime.cuda.conv_grouped",
    "conv.f32.implicit_gemm": "cnnc.runtime.cuda.conv_implicit_gemm",
    "conv.f32.plain_input": "cnnc.runtime.cuda.conv_plain_input",
    "conv.f32.sparse": "cnnc.runtime.cuda.conv_sparse",
    "conv.f32.sum_splits": "cnnc.runtime.cuda.conv_sum_splits",
    "conv.f32.winograd.input": "cnnc.runtime.cuda.conv_winograd_input",
    "conv.f32.winograd.output": "cnnc.runtime.cuda.conv_winograd_output",
    "conv.f32.winograd.products": "cnnc.runtime.cuda.conv_winograd_products",
    "conv.mma.implicit_gemm": "cnnc.runtime.cuda.conv_mma",
    "conv.u8.depthwise": "cnnc.runtime.cuda.conv_depthwise_bytes",
    "conv.u8.implicit_gemm": "cnnc.runtime.cuda.conv_implicit_gemm_bytes",
    "conv.u8.plain_input": "cnnc.runtime.cuda.conv_plain_input_bytes",
    "conv_transpose.f32.grouped": "cnnc.runtime.cuda.conv_transpose_grouped",
    "copy.fill": "cnnc.runtime.cuda.copy_fill",
    "copy.strided": "cnnc.runtime.cuda.copy_strided",
    "elementwise.chain": "cnnc.runtime.cuda.elementwise_chain",
    "gather": "cnnc.runtime.cuda.gather",
    "gemm.f32.few_rows": "cnnc.runtime.cuda.gemm_few_rows",
    "gemm.f32.sparse": "cnnc.runtime.cuda.gemm_sparse",
    "gemm.f32.sum_splits": "cnnc.runtime.cuda.gemm_sum_splits",
    "gemm.mma": "cnnc.runtime.cuda.gemm_mma",
    "gemm.u8.warps": "cnnc.runtime.cuda.gemm_bytes",
    "layout.blocked_lanes": "cnnc.runtime.cuda.layout_blocked_lanes",
    "layout.blocked_to_plain": "cnnc.runtime.cuda.layout_blocked_to_plain",
    "layout.byte_lanes": "cnnc.runtime.cuda.layout_byte_lanes",
    "layout.plain_to_blocked": "cnnc.runtime.cuda.layout_plain_to_blocked",
    "lrn.blocked": "cnnc.runtime.cuda.lrn_blocked",
    "lrn.plain": "cnnc.runtime.cuda.lrn_plain",
    "matmul.f32": "cnnc.runtime.cuda.matmul",
    "norm.group": "cnnc.runtime.cuda.norm_group",
    "norm.instance_blocked": "cnnc.runtime.cuda.norm_instance_blocked",
    "norm.layer": "cnnc.runtime.cuda.norm_layer",
    "pool.blocked": "cnnc.runtime.cuda.pool_blocked",
    "pool.plain": "cnnc.runtime.cuda.pool_plain",
    "pool.plain_indices": "cnnc.runtime.cuda.pool_plain_indices",
    "reduce": "cnnc.runtime.cuda.reduce",
    "resize.blocked": "cnnc.runtime.cuda.resize_blocked",
    "resize.bytes": "cnnc.runtime.cuda.resize_bytes",
    "resize.plain": "cnnc.runtime.cuda.resize_plain",
    "resize.table": "cnnc.runtime.cuda.resize_table",
    "softmax": "cnnc.runtime.cuda.softmax",
}


EXTENSIONS: ExtensionPoint[KernelDef] = ExtensionPoint(
    "cnnc.gpu_kernels", "GPU kernel", kernel_refusal, own=_MODULES.keys
)
"""Kernels of other packages."""


def kernel_names() -> tuple[str, ...]:
    """Names of all GPU kernels, sorted."""
    return tuple(sorted({*_MODULES, *EXTENSIONS.names()}))


def has_kernel(name: str) -> bool:
    """Whether there is a GPU kernel of that name."""
    return name in _MODULES or EXTENSIONS.find(name) is not None


def kernel_module(name: str) -> str:
    """Dotted name of the module that defines kernel ``name``.

    Raises:
        InternalError: there is no such kernel.
        ExtensionError: the package that offers it is broken.
    """
    if name in _MODULES:
        return _MODULES[name]
    return _added(name).build.__module__


def kernel_def(name: str) -> KernelDef:
    """The definition of kernel ``name``: its module's ``KERNEL``, or what another package offers.

    Raises:
        InternalError: there is no such kernel.
        ExtensionError: the package that offers it is broken.
    """
    if name not in _MODULES:
        return _added(name)
    kernel = importlib.import_module(_MODULES[name]).KERNEL
    if not isinstance(kernel, KernelDef) or kernel.name != name:
        raise InternalError(f"module {_MODULES[name]} does not define kernel {name!r}")
    return kernel


def _added(name: str) -> KernelDef:
    kernel = EXTENSIONS.find(name)
    if kernel is None:
        raise InternalError(f"there is no GPU kernel {name!r}")
    return kernel
