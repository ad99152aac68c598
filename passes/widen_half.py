"""widen-half: a graph of float16 or bfloat16 computes in float32, with casts at its borders.

Before:

    input %x: f16[N, 3, 32, 32]
    const %w: f16[8, 3, 3, 3] = ...
    %y: f16[N, 8, 30, 30] = conv(%x, %w)

After:

    input %x: f16[N, 3, 32, 32]
    const %w: f32[8, 3, 3, 3] = ...
    %x.f32: f32[N, 3, 32, 32] = cast(%x) {to=f32}
    %y.f32: f32[N, 8, 30, 30] = conv(%x.f32, %w)
    %y: f16[N, 8, 30, 30] = cast(%y.f32) {to=f16}

Conditions: no op looks at the bits or the width of a half float (``bit_cast``, casts of halves to integers of another
meaning are fine). Element types in attributes (cast, constant_of_shape, ...) widen too; inputs and outputs keep theirs.

Numerics: rounding; results are closer to exact, as nothing is rounded to half precision in between.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cnnc.ir import Attrs, Graph, Notes, Value
from cnnc.ops.conversion import CastAttrs
from cnnc.passes.base import Pass
from cnnc.types import DType

_HALVES = (DType.F16, DType.BF16)


@dataclass(frozen=True)
class WidenHalf(Pass):
    """Build the graph anew with wider types."""

    name: ClassVar[str] = "widen-half"
    numerics: ClassVar[str] = "rounding"

    def run(self, graph: Graph, notes: Notes) -> bool:
        if notes.is_spent or all(value.type.dtype not in _HALVES or _is_border(graph, value) for value in graph.values):
            return False
        for node in graph.nodes:
            if node.op == "bit_cast":
                notes.refuse(self.name, node, "it reads the bits of a half float")
                return False
        graph.become(_widened(graph))
        notes.fire(self.name, ())
        return True


def _is_border(graph: Graph, value: Value) -> bool:
    """An input that is only cast to float32, or an output that is cast from it."""
    if value.producer is None:
        wide = all(node.op == "cast" and node.output.type.dtype is DType.F32 for node in value.users)
        return not value.is_constant and wide
    from_wide = value.producer.op == "cast" and value.producer.input(0).type.dtype is DType.F32
    return from_wide and graph.is_output(value) and not value.uses


def _widened(graph: Graph) -> Graph:
    wide = Graph(graph.table, graph.name)
    wide.stage = graph.stage
    made: dict[Value, Value] = {}
    for value in graph.inputs:
        made[value] = wide.add_input(value.name, value.type)
    for value in graph.constants:
        assert value.array is not None
        is_half = value.type.dtype in _HALVES
        made[value] = wide.add_constant(value.array.astype(np.float32) if is_half else value.array, value.name)
    returned = {value for value in graph.outputs if value.type.dtype in _HALVES}
    for value in graph.inputs:
        if value.type.dtype in _HALVES:
            name = wide.fresh_name(f"{value.name}.f32")
            made[value] = wide.add_node("cast", [made[value]], CastAttrs(DType.F32), names=[name]).output
    for node in graph.nodes:
        operands = [None if value is None else made[value] for value in node.inputs]
        names = [f"{value.name}.f32" if value in returned else value.name for value in node.outputs]
        attrs = _wide_attrs(node.attrs)
        twin = wide.add_node(node.op, operands, attrs, outputs=len(names), names=names, loc=node.loc)
        made.update(zip(node.outputs, twin.outputs, strict=True))
    outputs = []
    for value in graph.outputs:
        if value in returned:
            cast = CastAttrs(value.type.dtype)
            outputs.append(wide.add_node("cast", [made[value]], cast, names=[value.name]).output)
        else:
            outputs.append(made[value])
    wide.set_outputs(outputs, graph.output_names)
    return wide


def _wide_attrs(attrs: Attrs) -> Attrs:
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(attrs)}
    return type(attrs)(**{name: DType.F32 if value in _HALVES else value for name, value in fields.items()})
