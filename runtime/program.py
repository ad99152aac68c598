"""The program: what the runtime runs. Plain data, no code; every size is an expression over the symbolic dims.

A program is a list of steps over buffers. Kernel steps between two host steps form a *segment*, which worker threads
run without Python. Shapes that depend on values (NonZero) are named by fresh symbols: the host step that produces them
binds them, and everything behind it is planned then.
"""

from __future__ import annotations

from collections.abc import Iterator

from cnnc.dims import Dim
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.kernel import Variant
from cnnc.types import DType

Plain = int | float | str | bool | None | tuple["Plain", ...]
"""What an attribute of a host step may be."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Storage of ``bytes`` bytes, 64-byte aligned unless it is an input.

    ``kind``: ``input`` (the caller's array), ``output`` (a fresh array for the caller), ``constant`` (bytes in the
    artifact, packed at compile time; ``constant`` is its index), ``arena`` (planned by liveness).
    """

    name: str
    kind: str
    bytes: Dim
    constant: int = -1


@dataclass(frozen=True, slots=True)
class BufferArg:
    """The address of a buffer plus ``offset`` bytes."""

    buffer: int
    offset: Dim = 0


Arg = BufferArg | int | Dim


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel instruction: argument block in the order of ``KernelDef.args``, work items, scratch per worker."""

    variant: Variant
    args: tuple[Arg, ...]
    items: Dim
    scratch_bytes: Dim = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Calls that compute the step, taken when every expression in ``when`` is >= 0."""

    calls: tuple[Call, ...]
    when: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelStep:
    """The first choice whose guards hold is run; the last one has no guard.

    ``reads`` and ``writes`` are buffer indices, for liveness. ``inplace`` holds (written, read) buffers that may be the
    same bytes while the step runs, if they have the same size and nothing uses the read one afterwards. ``label`` names
    the source nodes, ``op`` the IR op; ``macs`` is for profiles.
    """

    choices: tuple[Choice, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    label: str = ""
    op: str = ""
    macs: Dim = 0
    inplace: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A plain row-major array in a buffer."""

    buffer: int
    shape: tuple[Dim, ...]
    dtype: DType
    offset: Dim = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """An int64 array of symbolic content: evaluated by the planner. ``scalar`` makes it rank 0."""

    dims: tuple[Dim, ...]
    scalar: bool = False


@dataclass(frozen=True, slots=True)
class HostStep:
    """A NumPy function of ``cnnc.runtime.host`` run by the caller.

    ``outputs`` whose shapes hold symbols that no input binds get these symbols bound to what the function returned.
    """

    function: str
    attributes: tuple[tuple[str, Plain], ...]
    inputs: tuple[Tensor | Sizes | None, ...]
    outputs: tuple[Tensor | None, ...]
    label: str = ""
    op: str = ""

    @property
    def reads(self) -> tuple[int, ...]:
        return tuple(operand.buffer for operand in self.inputs if isinstance(operand, Tensor))

    @property
    def writes(self) -> tuple[int, ...]:
        return tuple(operand.buffer for operand in self.outputs if operand is not None)


Step = KernelStep | HostStep


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the program: name, buffer, logical shape and element type."""

    name: str
    buffer: int
    shape: tuple[Dim, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Program:
    """Inputs, outputs, buffers and steps; ``target`` names the CPU family the packed constants and kernels are for."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[Step, ...]

    def variants(self) -> Iterator[Variant]:
        """Every kernel variant that some choice uses, each once, in order."""
        seen: set[Variant] = set()
        for step in self.steps:
            if isinstance(step, HostStep):
                continue
            for choice in step.choices:
                for call in choice.calls:
                    if call.variant not in seen:
                        seen.add(call.variant)
                        yield call.variant
