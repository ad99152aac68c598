"""All checks by name, in the order in which they are reported."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cnnc.doctor.checks import (
    activations,
    batch_norm,
    fast_methods,
    integers,
    layouts,
    open_shapes,
    rates,
    weight_values,
    zeros,
)
from cnnc.doctor.finding import Finding
from cnnc.doctor.patient import Patient
from cnnc.errors import OptionError


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, what it looks for, and whether it needs sample data."""

    name: str
    about: str
    run: Callable[[Patient], Iterable[Finding]]
    needs_samples: bool = False


CHECKS: tuple[Check, ...] = (
    Check("non-finite-weights", "constants with NaN or infinity", weight_values.not_finite),
    Check("denormal-weights", "constants with numbers that are flushed to 0", weight_values.denormal),
    Check("weight-range", "weights that narrow types do not hold", weight_values.out_of_proportion),
    Check("duplicate-weights", "constants of equal content", weight_values.duplicate),
    Check("dead-channels", "filters of zeros and channels that nobody reads", zeros.dead_channels),
    Check("unused-sparsity", "weights with zeros, beside the density at which these pay", zeros.unused_density),
    Check("unfolded-batch-norm", "batch normalizations that no layer took up", batch_norm.unfolded),
    Check("integer-conversions", "quantize and dequantize that stayed", integers.conversions),
    Check("integer-weight-range", "weights of bytes that use few of their steps", integers.unused_weight_range),
    Check("integer-saturation", "activations of bytes that end at their range", integers.saturated, True),
    Check("layout-conversions", "copies between memory layouts", layouts.conversions),
    Check("part-filled-blocks", "channel counts that leave vector lanes idle", layouts.part_filled_blocks),
    Check("host-ops", "ops that run in NumPy", layouts.on_host),
    Check("open-sizes", "sizes that are open and keep layers from a kernel", open_shapes.prevented_kernels),
    Check("bandwidth-bound", "layers that wait for memory", rates.bandwidth_bound),
    Check("refused-methods", "fast methods that rounding errors forbid", fast_methods.refused_for_accuracy),
    Check("activation-range", "activations with huge ranges", activations.huge_range, True),
    Check("dead-activations", "channels of activations that are always 0", activations.dead, True),
)


def select_checks(names: Sequence[str]) -> tuple[Check, ...]:
    """The checks of these names; all for none.

    Raises:
        OptionError: there is no such check.
    """
    known = {check.name: check for check in CHECKS}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise OptionError(f"there is no check {name!r}", where="--check", hint=hint)
    return tuple(check for check in CHECKS if not names or check.name in names)
