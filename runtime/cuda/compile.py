"""Kernel variant -> PTX text, by Numba CUDA and NVIDIA's NVVM. Needs neither a GPU nor a driver."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from cnnc.errors import InternalError
from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.cuda.target import capability
from cnnc.runtime.cuda.toolkit_packages import NO_COMPILER, missing_package
from cnnc.runtime.jit.type_memo import remembered_types
from cnnc.runtime.kernel import Target, Variant

ENTRY = "kernel"
"""Name of the entry in the PTX of every variant."""

_ENTRY_NAME = re.compile(r"^\.visible \.entry (\w+)", re.M)
_ENVIRONMENT = re.compile(r"^\.(?:common )?(?:visible )?\.global .*NumbaEnv.*$\n?", re.M)


@functools.cache
def compile_ptx(variant: Variant, target: Target) -> str:
    """PTX of a kernel; its entry is called ``kernel`` and takes one 64-bit parameter for each slot of its arguments.

    Raises:
        OptionError: numba-cuda is not installed.
        InternalError: the kernel does not compile.
    """
    definition = kernel_def(variant.kernel)
    _, types, _, _ = _numba_cuda()
    function = definition.build(target, variant.options)
    arguments = types.UniTuple(types.int64, len(definition.args))
    resident = definition.resident(variant.options)
    threads = definition.threads(variant.options)
    bounds = (threads, resident) if resident else threads
    return function_ptx(function, (arguments,), target, bounds, str(variant))


def function_ptx(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    target: Target,
    bounds: int | tuple[int, int] | None = None,
    name: str = "",
) -> str:
    """PTX of a Numba CUDA function, whose entry is called ``kernel``.

    Args:
        arguments: Numba types of its parameters.
        bounds: threads of a block at most, and blocks that a multiprocessor shall hold at least.
        name: for errors.

    Raises:
        OptionError: numba-cuda is not installed.
        InternalError: it compiles to several kernels.
    """
    cuda, _, typing_context, lock = _numba_cuda()
    with lock, remembered_types(typing_context):
        text, _ = cuda.compile_ptx(function, arguments, cc=capability(target), device=False, launch_bounds=bounds)
    return _plain_names(text, name or function.__name__)


def _numba_cuda() -> tuple[Any, Any, Any, Any]:
    """Numba's modules ``cuda`` and ``types``, the typing context of CUDA and the lock that it is used under."""
    try:
        import numba_cuda  # noqa: F401
        from numba import cuda, types
        from numba.cuda.core.compiler_lock import global_compiler_lock
        from numba.cuda.descriptor import cuda_target
    except ImportError as error:
        raise missing_package(NO_COMPILER) from error
    return cuda, types, cuda_target.typing_context, global_compiler_lock


def _plain_names(text: str, name: str) -> str:
    """The PTX with ``kernel`` for Numba's mangled name, and without its pointer to a Python environment."""
    entries = _ENTRY_NAME.findall(text)
    if len(entries) != 1:
        raise InternalError(f"{name} compiles to {len(entries)} entries")
    return _ENVIRONMENT.sub("", text.replace(entries[0], ENTRY))
