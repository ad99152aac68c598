"""A plan: one stage of a program with every size a number and every arena buffer at an offset. Plain frozen data.

The planner makes plans, the checker proves them, the executor turns them into an instruction table.
"""

from __future__ import annotations

from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import Plain, Tensor
from cnnc.types import DType

ALIGNMENT = 64
"""Bytes: every planned buffer starts at a multiple of this."""


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes ``offset .. offset + bytes`` of the stage's arena, held by ``buffer`` during steps ``first .. last``."""

    buffer: int
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Address:
    """The address of byte ``offset`` of a buffer."""

    buffer: int
    offset: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One kernel call with numbers for sizes.

    Workers claim ``chunks`` ranges of ``chunk_items`` items each (the last one may be shorter). The split depends on
    the work only, never on the number of threads. ``work`` is a rough estimate of its time in nanoseconds on one core.
    """

    step: int
    variant: Variant
    args: tuple[Address | int, ...]
    items: int
    chunk_items: int
    chunks: int
    scratch_bytes: int
    work: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Kernel instructions between host steps: no Python runs inside."""

    instructions: tuple[Instruction, ...]

    @property
    def work(self) -> int:
        """Estimated nanoseconds on one core."""
        return sum(instruction.work for instruction in self.instructions)


@dataclass(frozen=True, slots=True)
class HostTensor:
    """A row-major array at byte ``offset`` of a buffer."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class HostSizes:
    """An int64 array of evaluated sizes: rank 1, or rank 0 if ``scalar``."""

    values: tuple[int, ...]
    scalar: bool


@dataclass(frozen=True, slots=True)
class HostCall:
    """One NumPy call. An output that is still a symbolic ``Tensor`` binds new symbols and lands in the next stage."""

    step: int
    function: str
    attributes: tuple[tuple[str, Plain], ...]
    inputs: tuple[HostTensor | HostSizes | None, ...]
    outputs: tuple[HostTensor | Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps ``first .. stop-1`` of a program, which make up stage ``stage``, for one set of sizes.

    Attributes:
        bindings: the sizes, sorted by name.
        buffer_bytes: bytes of each buffer that is ready in this stage, whatever stage placed it; -1 for later ones.
        places: arena buffers that this stage places.
        outputs: buffers of kind ``output`` that this stage allocates.
        arena_bytes: size of the stage's arena.
        scratch_bytes: scratch of one worker, a multiple of 64.
        is_last: whether the program ends here.
    """

    stage: int
    first: int
    stop: int
    bindings: tuple[tuple[str, int], ...]
    buffer_bytes: tuple[int, ...]
    places: tuple[Place, ...]
    outputs: tuple[int, ...]
    actions: tuple[Segment | HostCall, ...]
    arena_bytes: int
    scratch_bytes: int
    is_last: bool

    @property
    def work(self) -> int:
        """Estimated nanoseconds of all kernel instructions on one core."""
        return sum(action.work for action in self.actions if isinstance(action, Segment))
