"""What a session runs: a program with its constants. Made by the compiler, or read from a ``.cnnc`` file."""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.kernel import Target, Variant
from cnnc.runtime.program import Program


@dataclass(frozen=True, slots=True)
class KernelCode:
    """Machine code of one kernel: a flat blob that runs at any 64-byte-aligned address, entered at ``entry``."""

    variant: Variant
    blob: bytes
    entry: int


@dataclass(frozen=True)
class Executable:
    """A program, the bytes of its constants, and what is said about the model.

    Attributes:
        constants: flat uint8 arrays; ``Buffer.constant`` is an index into them.
        metadata: pairs such as ("producer_name", "pytorch"), for ``get_modelmeta``.
        origin: the file that it was read from, or "" for one that the compiler made in this process. A plan that breaks
            a rule is blamed on the file.
        target: the CPU that constants are packed for and kernels are compiled for; None for this machine's.
        code: kernels compiled ahead of time; the others are compiled, or found in the cache, when they are loaded.
    """

    program: Program
    constants: tuple[Bytes, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    origin: str = ""
    target: Target | None = None
    code: tuple[KernelCode, ...] = ()
