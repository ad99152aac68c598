"""The table of CPU kernels: name -> module. Modules are imported when a kernel is asked for, and import no numba."""

from __future__ import annotations

import importlib

from cnnc.errors import InternalError
from cnnc.extension_points import ExtensionPoint
from cnnc.runtime.kernel import KernelDef, kernel_refusal

_MODULES = {
    "arg_reduce": "cnnc.runtime.cpu.arg_reduce",
    "byte.average_pool": "cnnc.runtime.cpu.byte_average_pool",
    "byte.elementwise": "cnnc.runtime.cpu.byte_elementwise",
    "byte.global_average": "cnnc.runtime.cpu.byte_global_average",
    "byte.max_filter": "cnnc.runtime.cpu.byte_max_filter",
    "byte.max_pool": "cnnc.runtime.cpu.byte_max_pool",
    "byte.table": "cnnc.runtime.cpu.byte_table",
    "conv.f32.blocked.depthwise": "cnnc.runtime.cpu.conv_depthwise",
    "conv.f32.blocked.direct": "cnnc.runtime.cpu.conv_direct",
    "conv.f32.blocked.grouped": "cnnc.runtime.cpu.conv_grouped",
    "conv.f32.blocked.plain_input": "cnnc.runtime.cpu.conv_plain_input",
    "conv.f32.blocked.plain_winograd": "cnnc.runtime.cpu.conv_plain_winograd",
    "conv.f32.blocked.pointwise": "cnnc.runtime.cpu.conv_pointwise",
    "conv.f32.blocked.sparse": "cnnc.runtime.cpu.conv_sparse",
    "conv.f32.blocked.strassen": "cnnc.runtime.cpu.conv_strassen",
    "conv.f32.blocked.winograd": "cnnc.runtime.cpu.conv_winograd",
    "conv_transpose.f32.blocked": "cnnc.runtime.cpu.conv_transpose",
    "conv.bf16.blocked.direct": "cnnc.runtime.cpu.conv_direct_bfloat",
    "conv.bf16.blocked.pointwise": "cnnc.runtime.cpu.conv_pointwise_bfloat",
    "conv.u8.blocked.depthwise": "cnnc.runtime.cpu.conv_depthwise_bytes",
    "conv.u8.blocked.direct": "cnnc.runtime.cpu.conv_direct_bytes",
    "conv.u8.blocked.plain_input": "cnnc.runtime.cpu.conv_plain_input_bytes",
    "conv.u8.blocked.pointwise": "cnnc.runtime.cpu.conv_pointwise_bytes",
    "conv.u8.blocked.sparse": "cnnc.runtime.cpu.conv_sparse_bytes",
    "conv.u8.blocked.winograd": "cnnc.runtime.cpu.conv_winograd_bytes",
    "conv.f32.blocked.window": "cnnc.runtime.cpu.conv_window",
    "copy.fill": "cnnc.runtime.cpu.copy_fill",
    "copy.strided": "cnnc.runtime.cpu.copy_strided",
    "elementwise.tape": "cnnc.runtime.cpu.elementwise_tape",
    "gather": "cnnc.runtime.cpu.gather",
    "gemm.bf16": "cnnc.runtime.cpu.gemm_bfloat",
    "gemm.f32": "cnnc.runtime.cpu.gemm",
    "gemm.f32.sparse_lists": "cnnc.runtime.cpu.gemm_sparse_lists",
    "gemm.f32.sparse_masks": "cnnc.runtime.cpu.gemm_sparse_masks",
    "gemm.f32.sparse_rows": "cnnc.runtime.cpu.gemm_sparse_rows",
    "gemm.u8": "cnnc.runtime.cpu.gemm_bytes",
    "gemm.u8.sparse_lists": "cnnc.runtime.cpu.gemm_sparse_lists_bytes",
    "gemm.u8.sparse_masks": "cnnc.runtime.cpu.gemm_sparse_masks_bytes",
    "gemm.u8.sparse_rows": "cnnc.runtime.cpu.gemm_sparse_rows_bytes",
    "layout.blocked_lanes": "cnnc.runtime.cpu.layout_blocked_lanes",
    "layout.byte_lanes": "cnnc.runtime.cpu.layout_byte_lanes",
    "layout.blocked_to_plain": "cnnc.runtime.cpu.layout_blocked_to_plain",
    "layout.plain_to_blocked": "cnnc.runtime.cpu.layout_plain_to_blocked",
    "lrn.blocked": "cnnc.runtime.cpu.lrn_blocked",
    "lrn.plain": "cnnc.runtime.cpu.lrn_plain",
    "matmul.f32": "cnnc.runtime.cpu.matmul",
    "norm.group": "cnnc.runtime.cpu.norm_group",
    "norm.instance_blocked": "cnnc.runtime.cpu.norm_instance_blocked",
    "norm.layer": "cnnc.runtime.cpu.norm_layer",
    "pool.blocked": "cnnc.runtime.cpu.pool_blocked",
    "pool.plain": "cnnc.runtime.cpu.pool_plain",
    "pool.plain_indices": "cnnc.runtime.cpu.pool_plain_indices",
    "reduce": "cnnc.runtime.cpu.reduce",
    "resize.blocked": "cnnc.runtime.cpu.resize_blocked",
    "resize.bytes": "cnnc.runtime.cpu.resize_bytes",
    "resize.plain": "cnnc.runtime.cpu.resize_plain",
    "resize.table": "cnnc.runtime.cpu.resize_table",
    "softmax": "cnnc.runtime.cpu.softmax",
    "worker_loop": "cnnc.runtime.worker_loop",
}


EXTENSIONS: ExtensionPoint[KernelDef] = ExtensionPoint("cnnc.kernels", "CPU kernel", kernel_refusal, own=_MODULES.keys)
"""Kernels of other packages."""


def kernel_names() -> tuple[str, ...]:
    """Names of all CPU kernels, sorted."""
    return tuple(sorted({*_MODULES, *EXTENSIONS.names()}))


def has_kernel(name: str) -> bool:
    """Whether there is a CPU kernel of that name."""
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
        raise InternalError(f"there is no CPU kernel {name!r}")
    return kernel
