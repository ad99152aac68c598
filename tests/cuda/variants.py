"""GPU kernels as networks use them: one or a few typical variants of each, with what they are designed to need.

``test_assembly.py`` compiles them all. A kernel that is added gets a row here.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnnc.runtime.kernel import Variant


@dataclass(frozen=True)
class Case:
    """A variant and its design.

    Attributes:
        blocks: that a multiprocessor of an A100 holds at a time, at least.
        oldest: number of the oldest architecture that has its instructions.
    """

    variant: Variant
    blocks: int
    oldest: int = 75

    def __str__(self) -> str:
        return str(self.variant)


def conv_implicit_gemm(rows: int, columns: int, threads: int, **options: int | str) -> Variant:
    """The implicit GEMM with a square block of ``threads`` x ``threads`` threads."""
    tile = {"rows": rows, "columns": columns, "row_threads": threads, "column_threads": threads}
    defaults = {"window": 1, "tail": 0, "activation": "relu", "residual": 0}
    return Variant.of("conv.f32.implicit_gemm", **{**defaults, **tile, **options})


CASES = (
    Case(conv_implicit_gemm(8, 8, 8), 5),
    Case(conv_implicit_gemm(8, 8, 16, tail=1, activation="none"), 1),
    Case(conv_implicit_gemm(4, 4, 8, window=0, residual=1), 8),
)
