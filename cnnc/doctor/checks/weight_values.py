"""Numbers in weights that are none, that vanish, that are out of proportion, or that stand there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from cnnc.doctor.finding import Finding, Severity
from cnnc.doctor.patient import Patient
from cnnc.ir import Array, Value
from cnnc.ir.text import constant_key

F16_LARGEST = 65504.0
"""The largest finite number of float16 (IEEE 754)."""
F32_LEAST = 2.0**-126
"""The least normal number of float32, in which float16 is computed too."""
UNEVEN = 1e3
"""Ratio of the largest to the median output channel from which one scale cannot serve them all in 8 bits."""
LEAST_BYTES = 1 << 16
"""Of a constant that is worth sharing."""


def not_finite(patient: Patient) -> Iterator[Finding]:
    """NaN or infinity in a constant."""
    for value, array in _floats(patient):
        nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        if nans or infinite:
            yield Finding(
                Severity.ERROR,
                f"constant {value.name}",
                f"{nans} NaN and {infinite} infinite of {array.size} elements",
                "every result that depends on them is no number",
                "export the model from a checkpoint that is finite: check the loss of its training for overflow",
                _readers(value),
            )


def denormal(patient: Patient) -> Iterator[Finding]:
    """Numbers of a float32 constant that are too small for a full significand."""
    for value, array in _floats(patient):
        magnitudes = np.abs(array.astype(np.float64))
        count = int(np.count_nonzero((magnitudes > 0) & (magnitudes < F32_LEAST)))
        if count:
            yield Finding(
                Severity.WARNING,
                f"constant {value.name}",
                f"{count} of {array.size} elements are denormal, below {F32_LEAST:.1e}",
                "cnnc computes with 0 in their place; engines that do not flush them to 0 become many times as slow",
                "set them to 0 before the export: w[abs(w) < 1e-30] = 0; they are mostly channels that weight decay "
                "has killed: cnnc prune --pattern channel removes these",
                _readers(value),
            )


def out_of_proportion(patient: Patient) -> Iterator[Finding]:
    """Weights whose range no narrow type holds: overflow of float16, channels that one int8 scale cannot serve."""
    for node, weight in patient.weights:
        array = weight.by_outputs
        if array.dtype.kind != "f" or not array.size or not np.isfinite(array).all():
            continue
        channels = np.abs(array.astype(np.float64)).reshape(len(array), -1).max(axis=1)
        largest = float(channels.max())
        median = float(np.median(channels[channels > 0])) if largest else 0.0
        if largest > F16_LARGEST:
            yield Finding(
                Severity.WARNING,
                node.name,
                f"its largest weight is {largest:.2e}, and float16 ends at {F16_LARGEST:.0f}",
                "--precision f16 gives infinities; float32 and bf16 hold it",
                "leave it in float32, or rescale the layer and the one behind it in training",
                node.loc,
            )
        elif median and largest > UNEVEN * median:
            yield Finding(
                Severity.INFO,
                node.name,
                f"its largest output channel reaches {largest:.2e}, the median one {median:.2e}",
                "with one int8 scale for all, the median channel would have less than one step",
                "keep one scale a channel: cnnc quantize without --per-tensor, or with --equalise",
                node.loc,
            )


def duplicate(patient: Patient) -> Iterator[Finding]:
    """Constants of equal content under several names."""
    alike: dict[tuple[int, str, str], list[Value]] = {}
    for value in patient.source.constants:
        if value.uses and value.array is not None and value.array.nbytes >= LEAST_BYTES:
            head = hashlib.sha256(value.array.reshape(-1)[:64].tobytes()).hexdigest()
            alike.setdefault((value.array.nbytes, str(value.type), head), []).append(value)
    for group in alike.values():
        same: dict[str, list[Value]] = {}
        for value in group if len(group) > 1 else ():
            assert value.array is not None
            same.setdefault(constant_key(value.array), []).append(value)
        for values in same.values():
            if len(values) > 1 and values[0].array is not None:
                size = values[0].array.nbytes
                yield Finding(
                    Severity.INFO,
                    f"constant {values[0].name}",
                    f"{len(values)} constants of {size} bytes are equal: {', '.join(each.name for each in values[:4])}",
                    f"{(len(values) - 1) * size} bytes of the model file; a .cnnc file holds equal bytes once",
                    "let the layers share one initializer in the export: one parameter, used twice",
                    tuple(name for value in values for name in _readers(value)),
                )


def _floats(patient: Patient) -> Iterator[tuple[Value, Array]]:
    for value in patient.source.constants:
        if value.uses and value.array is not None and value.array.dtype.kind == "f":
            yield value, value.array


def _readers(value: Value) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.name for node in value.users))
