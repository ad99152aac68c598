"""GPU targets: an architecture of NVIDIA's, such as sm_80, in the words of ``Target``."""

from __future__ import annotations

import re

from cnnc.errors import OptionError
from cnnc.runtime.kernel import Target

CUDA_TRIPLE = "nvptx64-nvidia-cuda"

LANES = 8
"""Channels of a block of a blocked tensor. 8 float32 are a sector of memory (32 bytes): whatever pixels a warp reads,
it reads whole sectors."""

WARP = 32
"""Threads that execute together."""

DEFAULT_ARCHITECTURE = "sm_80"
OLDEST = 75

_PTX_ARCHITECTURES = (OLDEST, 80)
"""Kernels ask for nothing that came later: products on tensor cores, maxima that NaN wins and asynchronous copies came
with sm_80."""

_ARCHITECTURE = re.compile(r"sm_(\d{2,3})[af]?")


def cuda_target(architecture: str = DEFAULT_ARCHITECTURE) -> Target:
    """The target of an architecture.

    Raises:
        OptionError: there is no such architecture, or it is too old.
    """
    match = _ARCHITECTURE.fullmatch(architecture)
    if match is None:
        raise OptionError(f"{architecture!r} is no GPU architecture", where="target", hint="write cuda:sm_80, for one")
    if int(match.group(1)) < OLDEST:
        raise OptionError(
            f"{architecture} is too old: kernels need sm_{OLDEST} (Turing) or newer",
            where="target",
            hint="use the CPU",
        )
    return Target(CUDA_TRIPLE, architecture, "", 4 * LANES)


def is_architecture(name: str) -> bool:
    """Whether ``name`` is a GPU architecture that kernels can be compiled for."""
    match = _ARCHITECTURE.fullmatch(name)
    return match is not None and int(match.group(1)) >= OLDEST


def is_cuda(target: Target | None) -> bool:
    """Whether programs for the target run on a GPU; None stands for this machine's CPU."""
    return target is not None and target.triple == CUDA_TRIPLE


def capability(target: Target) -> tuple[int, int]:
    """Compute capability of a GPU target: (8, 0) of ``sm_80``."""
    number = int(target.cpu.removeprefix("sm_").rstrip("af"))
    return divmod(number, 10)


def ptx_target(target: Target) -> Target:
    """The target whose PTX is assembled for a GPU target: the newest one not above it that has instructions of its own
    that kernels use. Assemblers take the PTX of older architectures, so newer ones share it."""
    newest = max((number for number in _PTX_ARCHITECTURES if divmod(number, 10) <= capability(target)), default=OLDEST)
    return cuda_target(f"sm_{newest}")
