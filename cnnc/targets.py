"""What ``target`` options mean: this machine's CPU, or a GPU architecture."""

from __future__ import annotations

from cnnc.errors import OptionError
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel import Target
from cnnc.target_backend import BACKENDS

CPU = "cpu"


def parse_target(name: str) -> Target:
    """The target called ``cpu``, ``cuda:sm_80``, or ``cuda`` for the GPU of this machine.

    Raises:
        OptionError: there is no such target, or ``cuda`` is asked for where no GPU is found.
    """
    kind, colon, architecture = name.partition(":")
    if name == CPU:
        return host_target()
    if kind == "cuda" and colon:
        return cuda_target(architecture)
    if name == "cuda":
        from cnnc.runtime.cuda.driver import open_device

        return cuda_target(open_device().architecture)
    if name in BACKENDS.names():
        raise OptionError(
            f"target {name} is a backend of another package, which has no kernels of cnnc",
            where="target",
            hint="cnnc run and cnnc verify take it; use cpu or cuda for everything else",
        )
    others = "".join(f", {other}" for other in BACKENDS.names())
    raise OptionError(f"target {name!r} does not exist", where="target", hint=f"use cpu, cuda, or cuda:sm_80{others}")
