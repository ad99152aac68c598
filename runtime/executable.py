"""What a session runs: a program with its constants. Made by the compiler, or read from a ``.cnnc`` file."""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.runtime.aligned_memory import Bytes
from cnnc.runtime.program import Program


@dataclass(frozen=True)
class Executable:
    """A program, the bytes of its constants, and what is said about the model.

    Attributes:
        constants: flat uint8 arrays; ``Buffer.constant`` is an index into them. Packed for the CPU family ``target``.
        metadata: pairs such as ("producer", "pytorch"), for ``get_modelmeta``.
        origin: the file that it was read from, or "" for one that the compiler made in this process. A plan that breaks
            a rule is blamed on the file.
    """

    program: Program
    constants: tuple[Bytes, ...]
    metadata: tuple[tuple[str, str], ...] = ()
    origin: str = ""
