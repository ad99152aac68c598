"""Which opset a node needs: the oldest, from 18 on, whose operator means the same as the op of the IR.

An op of the IR is the newest ONNX operator of its name, but most nodes use nothing that older versions lack, and tools
take old opsets more widely than new ones. An operator's schema tells which attributes, operands and element types it
had as of an opset; where the same attributes came to mean something else, it is written down here, or, where it takes
more than an attribute's value to tell, in ``cnnc.export.redefined``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from onnx import defs

from cnnc.errors import OptionError
from cnnc.export.tensors import type_text
from cnnc.types import DType

OLDEST = 18
"""Since 18, reductions take their axes as an input, as in the IR; onnxruntime takes it from version 1.14 on."""

MEANING_SINCE: Mapping[str, int] = {"GridSample": 20, "GroupNormalization": 21}
"""First opset since which an operator means what its newest version does, where that is later than 18.

GridSample's modes had other names, and GroupNormalization's scale and bias were one a group.
"""

VALUE_SINCE: Mapping[tuple[str, str, str], int] = {
    ("Pad", "mode", "wrap"): 19,
    ("Resize", "coordinate_transformation_mode", "half_pixel_symmetric"): 19,
}
"""First opset in which a text attribute may have a value; schemas do not tell."""


def newest_opset() -> int:
    """The newest opset that the installed onnx package knows."""
    return int(defs.onnx_opset_version())


def check_opset(opset: int | None) -> None:
    """Refuse an opset that nothing can be exported for.

    Raises:
        OptionError: it is older than 18, or newer than what the onnx package knows.
    """
    if opset is not None and not OLDEST <= opset <= newest_opset():
        what = f"opset {opset} is not between {OLDEST} and {newest_opset()}"
        raise OptionError(what, where="opset", hint="leave it out for the oldest that does")


@lru_cache(maxsize=4096)
def find_schema(op_type: str, opset: int) -> defs.OpSchema | None:
    """The definition of an operator as of an opset, or None where ONNX had none then."""
    try:
        return defs.get_schema(op_type, opset, "")
    except defs.SchemaError:
        return None


def operator_of(op: str) -> str | None:
    """The ONNX operator whose name an op has in snake case, or None."""
    return _operators().get(op.replace("_", ""))


@lru_cache(maxsize=1)
def _operators() -> Mapping[str, str]:
    """Name of each operator of ONNX by the name in lower case."""
    return {schema.name.lower(): schema.name for schema in defs.get_all_schemas() if schema.domain == ""}


def first_opset(
    op_type: str, attributes: Mapping[str, object], inputs: Sequence[DType | None], outputs: Sequence[DType]
) -> int | None:
    """The oldest opset whose operator takes these attributes and element types and means the same; None if none does.

    Args:
        attributes: those that are written, by name.
        inputs: element types, None where an operand is absent.
    """
    texts = tuple(sorted((name, value) for name, value in attributes.items() if isinstance(value, str)))
    return _first_opset(op_type, frozenset(attributes), texts, tuple(inputs), tuple(outputs))


@lru_cache(maxsize=4096)
def _first_opset(
    op_type: str,
    attributes: frozenset[str],
    texts: tuple[tuple[str, str], ...],
    inputs: tuple[DType | None, ...],
    outputs: tuple[DType, ...],
) -> int | None:
    least = max(MEANING_SINCE.get(op_type, OLDEST), *(VALUE_SINCE.get((op_type, *text), OLDEST) for text in texts), 0)
    for opset in range(least, newest_opset() + 1):
        schema = find_schema(op_type, opset)
        if schema is not None and attributes <= set(schema.attributes) and _takes(schema, inputs, outputs):
            return opset
    return None


def _takes(schema: defs.OpSchema, inputs: Sequence[DType | None], outputs: Sequence[DType]) -> bool:
    if len(inputs) > schema.max_input or len(outputs) > schema.max_output:
        return False
    pairs = [*_with_formals(inputs, schema.inputs), *_with_formals(outputs, schema.outputs)]
    return all(dtype is None or type_text(dtype) in formal.types for dtype, formal in pairs)


def _with_formals(
    dtypes: Sequence[DType | None], formals: Sequence[defs.OpSchema.FormalParameter]
) -> list[tuple[DType | None, defs.OpSchema.FormalParameter]]:
    """Each element type with its formal parameter; the last one may be variadic."""
    return [(dtype, formals[min(index, len(formals) - 1)]) for index, dtype in enumerate(dtypes)]
