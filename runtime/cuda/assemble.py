"""PTX -> machine code of one architecture (a *cubin*), by NVIDIA's ptxas, and what the assembler says of it.

nvJitLink would do too, but it compiles for linking: 154 registers where ptxas needs 133 (implicit GEMM, sm_80).
"""

from __future__ import annotations

import functools
import re
import tempfile
from pathlib import Path

from cnnc.errors import InternalError, OptionError
from cnnc.runtime.cuda import toolkit
from cnnc.runtime.cuda.compile import ENTRY
from cnnc.runtime.cuda.cubin import Cubin, ResourceUse
from cnnc.runtime.cuda.toolkit_packages import INSTALL
from cnnc.runtime.kernel import Target

_FRAME = re.compile(
    rf"Function properties for {ENTRY}\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
_USED = re.compile(r"Used (\d+) registers")
_BARRIERS = re.compile(r"used (\d+) barriers")
_SHARED = re.compile(r"(\d+) bytes smem")

_ATTEMPTS = ((), ("--register-usage-level", "0"), ("--override-directive-values", "--minnctapersm", "1"))
"""Options of ptxas until nothing is spilled. It spills a few registers now and then so that more blocks find room,
though others are left: 8 bytes of ``pool.blocked`` for sm_121, with 48 registers of 255."""


def assemble(ptx: str, target: Target) -> Cubin:
    """Machine code of PTX whose entry is ``kernel``.

    Raises:
        OptionError: ptxas is not installed, older than what wrote the PTX, or does not know the architecture.
        InternalError: the PTX is malformed.
    """
    with tempfile.TemporaryDirectory(prefix="cnnc-ptx-") as folder:
        source, output = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        found = []
        for options in _ATTEMPTS:
            arguments = [f"-arch={target.cpu}", "--verbose", *options, "-o", str(output), str(source)]
            done = toolkit.run("ptxas", arguments)
            if done.returncode != 0:
                raise _refusal(done.stderr, target)
            found.append(Cubin(output.read_bytes(), resource_use(done.stderr)))
            if not found[-1].resources.spilled_bytes:
                break
    return min(found, key=lambda cubin: cubin.resources.spilled_bytes)


def _refusal(report: str, target: Target) -> OptionError | InternalError:
    if "gpu-name" in report:
        return _unknown_architecture(target)
    if "Unsupported .version" in report:
        return OptionError(
            f"{toolkit.program('ptxas')} is older than the compiler that wrote its input",
            where="target cuda",
            hint=INSTALL,
        )
    return InternalError(f"ptxas refuses a kernel: {report.strip()}")


def require_architecture(target: Target) -> None:
    """Look whether ptxas compiles for a target.

    Raises:
        OptionError: ptxas is not installed, or does not know the architecture.
    """
    if target.cpu.rstrip("af") not in architectures():
        raise _unknown_architecture(target)


def _unknown_architecture(target: Target) -> OptionError:
    return OptionError(
        f"ptxas compiles for {', '.join(architectures())}, not for {target.cpu}",
        where="target cuda",
        hint="name one of these architectures",
    )


def resource_use(report: str) -> ResourceUse:
    """What ``ptxas --verbose`` says of the entry ``kernel``.

    Raises:
        InternalError: the report has another form.
    """
    frame, used = _FRAME.search(report), _USED.search(report)
    if frame is None or used is None:
        raise InternalError(f"ptxas reports in an unknown form: {report.strip()}")
    stack, stores, loads = map(int, frame.groups())
    return ResourceUse(
        registers=int(used[1]),
        shared_bytes=_number(_SHARED, report),
        stack_bytes=stack,
        spill_store_bytes=stores,
        spill_load_bytes=loads,
        barriers=_number(_BARRIERS, report),
    )


def _number(pattern: re.Pattern[str], report: str) -> int:
    found = pattern.search(report)
    return int(found[1]) if found else 0


@functools.cache
def architectures() -> tuple[str, ...]:
    """Architectures that the installed ptxas compiles for, oldest first: ("sm_75", "sm_80", ...).

    Raises:
        OptionError: ptxas is not installed.
    """
    numbers = {word.removeprefix("sm_") for word in toolkit.run("ptxas", ["--list-arch"]).stdout.split()}
    return tuple(f"sm_{number}" for number in sorted(int(number) for number in numbers if number.isdecimal()))
