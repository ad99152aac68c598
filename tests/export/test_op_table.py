"""Every op of the IR is exported, or refused by name with a reason; none is forgotten."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import pytest

from cnnc.errors import UnsupportedError
from cnnc.export import export_graph
from cnnc.export.generic import export_same
from cnnc.export.opset import MEANING_SINCE, OLDEST, VALUE_SINCE, find_schema, newest_opset, operator_of
from cnnc.export.table import EXPORTERS, REFUSED, find_exporter
from cnnc.ops import OPS
from cnnc.types import DType
from tests.passes.sketch import Sketch

SAME = [op for op in OPS if op not in EXPORTERS and op not in REFUSED]


def test_exporters_and_refusals_are_of_ops() -> None:
    assert [op for op in (*EXPORTERS, *REFUSED) if op not in OPS] == []
    assert not set(EXPORTERS) & set(REFUSED)


@pytest.mark.parametrize("op", list(OPS))
def test_every_op_is_exported_or_refused(op: str) -> None:
    if op in REFUSED:
        with pytest.raises(UnsupportedError, match=f"{op} cannot be exported: .+"):
            find_exporter(op)
        return
    exporter = find_exporter(op)
    assert (exporter is export_same) == (op in SAME)
    if op in SAME:
        assert operator_of(op) is not None, f"{op} is no ONNX operator: it needs an exporter"


@pytest.mark.parametrize("op", SAME)
def test_ops_without_an_exporter_have_the_attributes_and_defaults_of_onnx(op: str) -> None:
    """Both sides: an attribute that ONNX lacks could not be written, one that the IR lacks is left out by everyone."""
    schema = find_schema(operator_of(op) or "", newest_opset())
    assert schema is not None
    fields = {field.name: field.default for field in dataclasses.fields(OPS[op].attrs)}
    assert set(fields) <= set(schema.attributes)
    for name, default in fields.items():
        if default is dataclasses.MISSING or (op, name) == ("rnn", "activations"):
            continue
        theirs = schema.attributes[name].default_value
        assert _plain(default) == (_plain(onnx.helper.get_attribute_value(theirs)) if theirs.name else None)


def _plain(value: Any) -> Any:
    """A default in one form: ONNX has float32 only and bytes for text, and 0 is how some attributes say "not given"."""
    match value:
        case None | () | []:
            return None
        case float():
            return float(np.float32(value))
        case bytes():
            return value.decode()
        case list():
            return tuple(value)
        case DType() | int():
            return value or None
    return value


@pytest.mark.parametrize("op", [op for op in OPS if operator_of(op) is not None])
def test_defaults_of_operators_are_the_same_in_every_opset_that_is_written(op: str) -> None:
    """What equals its default is left out, so a default that changed would have to stand in ``MEANING_SINCE``."""
    op_type = operator_of(op) or ""
    newest = find_schema(op_type, newest_opset())
    assert newest is not None
    for opset in range(MEANING_SINCE.get(op_type, OLDEST), newest_opset()):
        schema = find_schema(op_type, opset)
        for name, attribute in schema.attributes.items() if schema is not None else ():
            assert attribute.default_value == newest.attributes[name].default_value, f"{op_type} {opset}: {name}"


def test_the_tables_of_meanings_name_operators_and_attributes() -> None:
    for op_type in MEANING_SINCE:
        assert find_schema(op_type, newest_opset()) is not None
    for op_type, name, _ in VALUE_SINCE:
        schema = find_schema(op_type, newest_opset())
        assert schema is not None and name in schema.attributes


def test_an_op_that_an_older_onnx_package_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnc.export.generic.operator_of", lambda op: None)
    sketch = Sketch()
    sketch.returns(sketch.op("relu", sketch.input("N", 3), name="act"))
    with pytest.raises(UnsupportedError) as caught:
        export_graph(sketch.graph)
    text = str(caught.value)
    assert (
        text.startswith("relu node 'act'") and "no operator of this name" in text and "update the onnx package" in text
    )
