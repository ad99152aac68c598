"""NVIDIA's driver through the package cuda-bindings: loading it, and what its refusals mean to users."""

from __future__ import annotations

import functools
from typing import Any

from cnnc.errors import InternalError, OptionError
from cnnc.runtime.cuda.toolkit_packages import INSTALL, missing_package

_USE_THE_CPU = "use the CPU, or EmulatedDevice to test without a GPU"
_TOO_NEW = frozenset({"CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "CUDA_ERROR_INVALID_IMAGE"})


@functools.cache
def driver() -> Any:
    """The module ``cuda.bindings.driver``, with the driver initialised.

    Raises:
        OptionError: the package or the driver is not installed, the driver does not start, it finds no GPU, or it is
            older than the package.
    """
    try:
        import cuda.bindings
        from cuda.bindings import driver as calls
    except ImportError as error:
        raise missing_package("GPUs are driven through the package cuda-bindings, which is not installed") from error
    try:
        (status,) = calls.cuInit(0)
    except RuntimeError as error:  # what the package raises where it finds no libcuda
        raise _refusal("no NVIDIA driver is installed", "install the driver of your GPU, or " + _USE_THE_CPU) from error
    if status == calls.CUresult.CUDA_ERROR_NO_DEVICE:
        raise no_device()
    if status != calls.CUresult.CUDA_SUCCESS:
        raise _refusal(f"the NVIDIA driver does not start: {_text(calls, status)}", "see what nvidia-smi says")
    _, version = calls.cuDriverGetVersion()
    needed = int(str(cuda.bindings.__version__).partition(".")[0])
    if version // 1000 < needed:
        raise _refusal(
            f"the NVIDIA driver is of CUDA {version // 1000}.{version % 1000 // 10}, cuda-bindings is of CUDA {needed}",
            f"update the driver, or {INSTALL}",
        )
    return calls


def no_device() -> OptionError:
    """The error for a machine without a GPU."""
    return _refusal("the NVIDIA driver finds no GPU on this machine", _USE_THE_CPU)


def _refusal(what: str, hint: str) -> OptionError:
    return OptionError(what, where="device", hint=hint)


def checked(result: tuple[Any, ...]) -> Any:
    """What a call of the driver returned behind its status: None, one value, or a tuple of more.

    Raises:
        OptionError: the driver is too old for the code that it was given.
        InternalError: it refused for another reason, or a kernel has failed.
    """
    status, *values = result
    calls = driver()
    if status == calls.CUresult.CUDA_SUCCESS:
        return None if not values else values[0] if len(values) == 1 else tuple(values)
    if status.name in _TOO_NEW:
        raise _refusal(
            f"the NVIDIA driver does not take code of the installed toolkit: {_text(calls, status)}",
            f"update the driver, or {INSTALL}",
        )
    raise InternalError(f"the NVIDIA driver says {status.name}: {_text(calls, status)}")


def _text(calls: Any, status: Any) -> str:
    _, text = calls.cuGetErrorString(status)
    return text.decode() if text else str(status)
