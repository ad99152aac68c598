"""Programs as JSON values. Expressions are their text; kernel variants are stored once and named by index.

``program_reader`` is the way back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cnnc.dims import Dim, Expr
from cnnc.errors import InternalError
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import Arg, BufferArg, HostStep, KernelStep, Plain, Port, Program, Sizes, Tensor


def program_to_json(program: Program) -> dict[str, Any]:
    """A JSON value that ``program_from_json`` turns back into an equal program."""
    variants = {variant: index for index, variant in enumerate(program.variants())}
    return {
        "inputs": [_port(port) for port in program.inputs],
        "outputs": [_port(port) for port in program.outputs],
        "buffers": [[b.name, b.kind, _dim(b.bytes), b.constant] for b in program.buffers],
        "variants": [variant_to_json(variant) for variant in variants],
        "steps": [
            _host_step(step) if isinstance(step, HostStep) else _kernel_step(step, variants) for step in program.steps
        ],
    }


def variant_to_json(variant: Variant) -> list[Any]:
    """[kernel, [[parameter, value], ...]]."""
    return [variant.kernel, [list(pair) for pair in variant.params]]


def _dim(dim: Dim) -> int | str:
    return str(dim) if isinstance(dim, Expr) else int(dim)


def _dims(dims: Sequence[Dim]) -> list[int | str]:
    return [_dim(dim) for dim in dims]


def _port(port: Port) -> list[Any]:
    return [port.name, port.buffer, _dims(port.shape), port.dtype.value]


def _kernel_step(step: KernelStep, variants: dict[Variant, int]) -> dict[str, Any]:
    choices = [
        {
            "when": _dims(choice.when),
            "calls": [
                [variants[call.variant], [_arg(arg) for arg in call.args], _dim(call.items), _dim(call.scratch_bytes)]
                for call in choice.calls
            ],
        }
        for choice in step.choices
    ]
    return {
        "choices": choices,
        "reads": list(step.reads),
        "writes": list(step.writes),
        "label": step.label,
        "op": step.op,
        "macs": _dim(step.macs),
        "inplace": [list(pair) for pair in step.inplace],
    }


def _arg(arg: Arg) -> Any:
    return [arg.buffer, _dim(arg.offset)] if isinstance(arg, BufferArg) else _dim(arg)


def _host_step(step: HostStep) -> dict[str, Any]:
    return {
        "host": step.function,
        "attributes": [[name, _plain(value)] for name, value in step.attributes],
        "inputs": [_operand(operand) for operand in step.inputs],
        "outputs": [_operand(operand) for operand in step.outputs],
        "label": step.label,
        "op": step.op,
    }


def _operand(operand: Tensor | Sizes | None) -> Any:
    if operand is None:
        return None
    if isinstance(operand, Sizes):
        return {"sizes": _dims(operand.dims), "scalar": operand.scalar}
    return [operand.buffer, _dims(operand.shape), operand.dtype.value, _dim(operand.offset)]


def _plain(value: Plain) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise InternalError(f"attribute value {value!r} of a host step is not plain data")
