"""The CPU that kernels are compiled for, read from the operating system without llvmlite.

Code is compiled for an x86-64 *level* (v2: SSE, v3: AVX2 with FMA, v4: AVX-512) plus the few extensions that kernels
use by name, so that one blob serves every CPU of the level.
"""

from __future__ import annotations

import functools
import os
import platform
import sys
from pathlib import Path

from cnnc.errors import OptionError
from cnnc.runtime.kernel import Target

_FREESTANDING = "x86_64-unknown-none-elf"
_LEVELS = {
    "avx512": ("x86-64-v4", 64, frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "fma", "avx2"})),
    "avx2": ("x86-64-v3", 32, frozenset({"avx2", "fma", "f16c", "bmi2", "movbe"})),
    "sse": ("x86-64-v2", 16, frozenset({"sse4_1", "sse4_2", "ssse3", "popcnt"})),
}
# name in /proc/cpuinfo -> LLVM feature, for the level that may use it
_EXTENSIONS = {
    "avx512": {"avx512_vnni": "avx512vnni", "avx512_bf16": "avx512bf16", "avx512vbmi": "avx512vbmi"},
    "avx2": {"avx_vnni": "avxvnni"},
    "sse": {},
}


def maps_blobs() -> bool:
    """Whether code blobs are mapped directly here (Linux on x86-64); elsewhere llvmlite loads the object."""
    return sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64")


def host_target() -> Target:
    """The target of this machine; the environment variable ``CNNC_TARGET`` (avx512, avx2, sse) asks for a narrower one.

    Raises:
        OptionError: ``CNNC_TARGET`` names an unknown level or one that this CPU lacks.
    """
    return _host_target(os.environ.get("CNNC_TARGET", ""))


@functools.cache
def _host_target(wanted: str) -> Target:
    if platform.machine() not in ("x86_64", "AMD64"):
        if wanted:
            raise OptionError(f"CNNC_TARGET={wanted} is an x86-64 level", where=platform.machine(), hint="unset it")
        return _foreign_target()
    flags = _cpu_flags()
    available = [name for name, (_, _, needed) in _LEVELS.items() if needed <= flags]
    if wanted and wanted not in _LEVELS:
        raise OptionError(f"CNNC_TARGET={wanted} is unknown", hint=f"use one of {', '.join(_LEVELS)}")
    if wanted and wanted not in available:
        raise OptionError(f"this CPU lacks CNNC_TARGET={wanted}", hint=f"use one of {', '.join(available)}")
    if not available:
        raise OptionError("this CPU is older than x86-64-v2 (SSE4.2)", hint="cnnc needs a CPU of 2009 or later")
    return x86_target(wanted or available[0], flags)


def x86_target(level: str, flags: frozenset[str] = frozenset()) -> Target:
    """The target of an x86-64 level; ``flags`` (names as in /proc/cpuinfo) switch on the extensions it may use."""
    cpu, vector_bytes, _ = _LEVELS[level]
    features = ",".join(f"+{feature}" for flag, feature in _EXTENSIONS[level].items() if flag in flags)
    triple = _FREESTANDING if maps_blobs() else _process_triple()
    return Target(triple, cpu, features, vector_bytes)


def has_fma(target: Target) -> bool:
    """Whether a fused multiply-add is one instruction; x86-64-v2 has none."""
    return target.cpu != "x86-64-v2"


def has_byte_products(target: Target) -> bool:
    """Whether four products of bytes are added to a 32-bit lane in one instruction (AVX512-VNNI, AVX-VNNI)."""
    if "avx512vnni" in target.features:
        return True
    return "avxvnni" in target.features and target.vector_bytes <= 32


def has_byte_permutes(target: Target) -> bool:
    """Whether bytes of two registers are picked by indices in one instruction (AVX512-VBMI)."""
    return "avx512vbmi" in target.features and target.vector_bytes == 64


def has_bfloat_products(target: Target) -> bool:
    """Whether two products of bfloat16 are added to a float32 lane in one instruction (AVX512-BF16)."""
    return "avx512bf16" in target.features


def is_x86(target: Target) -> bool:
    return target.triple.startswith("x86_64")


def is_arm64(target: Target) -> bool:
    return target.triple.startswith(("aarch64", "arm64"))


def cpu_model() -> str:
    """The CPU's name as its maker gives it, for what is measured on it."""
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return _cpu_flags_from_llvm()
    for line in cpuinfo.read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def _cpu_flags_from_llvm() -> frozenset[str]:
    import llvmlite.binding as llvm

    names = {"sse4.1": "sse4_1", "sse4.2": "sse4_2", "avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16"}
    names["avxvnni"] = "avx_vnni"
    return frozenset(names.get(name, name) for name, present in llvm.get_host_cpu_features().items() if present)


def _process_triple() -> str:
    import llvmlite.binding as llvm

    return str(llvm.get_process_triple())


def _foreign_target() -> Target:
    """A CPU other than x86-64: LLVM's own description, vectors of 16 bytes."""
    import llvmlite.binding as llvm

    return Target(_process_triple(), str(llvm.get_host_cpu_name()), str(llvm.get_host_cpu_features().flatten()), 16)
