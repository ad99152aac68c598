"""How to compile: the options of every command and call that compiles a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnnc.errors import OptionError
from cnnc.lower.numerics import PRECISION_CHOICES, STRASSEN_CHOICES, WINOGRAD_CHOICES, Numerics, numerics_of_level
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.cuda.tensor_precision import precision_refusal
from cnnc.runtime.jit.target import has_bfloat_products
from cnnc.runtime.kernel import Target
from cnnc.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile.

    Args:
        level: 0 keeps the graph as imported but for what lowering needs; 1 rewrites that keep results to float
            rounding; 2 (default) everything; 3 adds measured kernel selection.
        shapes: input shapes by name that override the model's: ints, or names for symbolic sizes.
        check_passes: compare the graph's outputs before and after every pass on the interpreter.
        on_bad_pass: ``stop`` or ``skip`` a pass that changed results beyond its bound.
        rewrite_limit: stop after that many rewrites (for bisecting).
        tuning: at level 3, measurements to go by instead of measuring here: the same ones give the same program.
        winograd: from level 2 on, convolutions by Winograd's method: ``auto`` where it is faster and accurate enough,
            or ``off``; at level 2 also ``f2`` or ``f4``: so many outputs along each axis, wherever it can be used.
        strassen: from level 2 on, 1x1 convolutions by Strassen's method: ``auto`` where it is faster and accurate
            enough, or ``off``; at level 2 also ``on``: wherever it can be used.
        precision: ``f32``; or at level 2 ``bf16``, on a CPU with AVX512-BF16: convolutions multiply bfloat16 where that
            is faster, matrix products read weights of bfloat16; tensors and sums stay float32. On a GPU also ``tf32``
            and ``f16``: both multiply such factors on tensor cores.
        target: ``cpu``, this machine's; ``cuda:sm_80``, a GPU architecture; ``cuda``, this machine's GPU; or the name
            of another package's backend.
    """

    level: int = 2
    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    check_passes: bool = False
    on_bad_pass: str = "stop"
    rewrite_limit: int | None = None
    tuning: Tuning | None = None
    winograd: str = "auto"
    strassen: str = "auto"
    precision: str = "f32"
    target: str = "cpu"

    def __post_init__(self) -> None:
        if self.level not in (0, 1, 2, 3):
            raise OptionError(f"optimization level {self.level!r} does not exist", hint="use 0, 1, 2 or 3")
        if self.on_bad_pass not in ("stop", "skip"):
            raise OptionError(f"on_bad_pass={self.on_bad_pass!r}", hint="use 'stop' or 'skip'")
        if self.tuning is not None and self.level != 3:
            raise OptionError(f"level {self.level} takes no tuning", where="tuning", hint="use level 3")
        if self.winograd not in WINOGRAD_CHOICES:
            raise OptionError(f"winograd={self.winograd!r}", hint=f"use one of {', '.join(WINOGRAD_CHOICES)}")
        if self.winograd in ("f2", "f4") and self.level != 2:
            raise OptionError(f"level {self.level} takes no winograd={self.winograd}", hint="use level 2")
        if self.strassen not in STRASSEN_CHOICES:
            raise OptionError(f"strassen={self.strassen!r}", hint=f"use one of {', '.join(STRASSEN_CHOICES)}")
        if self.strassen == "on" and self.level != 2:
            raise OptionError(f"level {self.level} takes no strassen=on", hint="use level 2")
        if self.precision not in PRECISION_CHOICES:
            raise OptionError(f"precision={self.precision!r}", hint=f"use one of {', '.join(PRECISION_CHOICES)}")
        if self.precision != "f32" and self.level != 2:
            raise OptionError(f"level {self.level} takes no precision={self.precision}", hint="use level 2")
        if self.level == 3 and ":" in self.target and self.tuning is None:
            raise OptionError(
                f"level 3 measures kernels, and {self.target} need not be here",
                where="target",
                hint="give what was measured there as tuning, or use target cuda where the GPU is",
            )

    @property
    def numerics(self) -> Numerics:
        """What kernels may do to the last bits."""
        return numerics_of_level(self.level, self.winograd, self.strassen, self.precision)


def check_precision(precision: str, target: Target) -> None:
    """Refuse a precision that the target does not compute in.

    Raises:
        OptionError: the CPU, or the GPU's tensor cores, have no products of this type.
    """
    if precision == "f32":
        return
    if is_cuda(target):
        reason = precision_refusal(precision, target)
        if reason is not None:
            raise OptionError(reason, where="precision", hint="use f16, or a newer target")
        return
    if precision != "bf16":
        raise OptionError(
            f"precision {precision} is for GPUs; CPUs compute in f32, and some in bf16",
            where="precision",
            hint="name a GPU as the target, such as cuda:sm_80, or leave the option out",
        )
    if not has_bfloat_products(target):
        raise OptionError(
            f"precision bf16 needs a CPU with AVX512-BF16; this one is {target.cpu} "
            f"({target.features or 'no extensions'})",
            where="precision",
            hint="leave the option out: float32 is as fast here",
        )


def check_backend_options(options: Options) -> None:
    """Refuse options that choose among cnnc's own kernels where another package's backend runs the graph.

    Raises:
        OptionError: there are some.
    """
    usual = Options(options.level)
    given = [
        name
        for name in ("winograd", "strassen", "precision", "tuning")
        if getattr(options, name) != getattr(usual, name)
    ]
    if options.level == 3:
        given.append("level 3")
    if given:
        raise OptionError(
            f"{' and '.join(given)} choose among kernels of cnnc, and target {options.target} runs none of them",
            where="target",
            hint="leave them out",
        )
