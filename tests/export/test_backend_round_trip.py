"""The ONNX backend test-suite once more: each of its models is imported, exported, and imported again.

Every case that cnnc passes (``tests/backend/skips.txt`` lists the others) must export to a model that passes the ONNX
checker and gives the same graph again. The suite's expected outputs must then hold in onnxruntime, which runs the
exported model; where it lacks an operator or is known to differ, in the interpreter, which runs the second import.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import onnx
import onnx.backend.test
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented

from cnnc import interp
from cnnc.backend import CnncBackend, PreparedModel, Run
from cnnc.frontends import import_onnx
from cnnc.ir import Array, Graph
from cnnc.types import DType
from tests.backend.test_onnx_backend import HEAVY, MANIFEST, reason_for
from tests.export.canonical import canonical_text
from tests.export.judged import exported, open_session

REWRITTEN_BEFORE: Mapping[str, int] = {"swish": 24}
"""Ops that are written as several operators unless an opset is asked for that has them: the first such opset."""

ONNXRUNTIME_DIFFERS: Mapping[str, str] = {
    "test_convinteger_with_padding": "it takes a zero point of the weights with one element only, here it has two",
    "test_maxunpool_export_with_output_shape": "it places elements by another output shape",
    "test_reduce_max_empty_set_bool": "it has no maximum of no booleans",
    "test_resize_downsample_scales_cubic_align_corners": "it takes the rounded output size for the ratio of corners",
    "test_resize_downsample_scales_linear_align_corners": "it takes the rounded output size for the ratio of corners",
}
"""Cases that onnxruntime does not pass, with the model as it is just as little, and why."""


class ExportedModel(PreparedModel):
    """A model that is exported before it runs."""

    name = ""

    def _build(self, values: Mapping[str, Array]) -> Run:
        graph = import_onnx(self._model, shapes=self._shapes, values=values)
        model = exported(graph, opset=_opset_for(graph))
        again = import_onnx(model)
        assert canonical_text(again) == canonical_text(graph)
        interpreted: Run = partial(interp.run, again)
        if self.name in ONNXRUNTIME_DIFFERS or _has_bfloat(graph):
            return interpreted
        try:
            session = open_session(model)
        except (Fail, InvalidGraph, NotImplemented):
            return interpreted
        return lambda feeds: dict(zip(graph.output_names, session.run(list(graph.output_names), feeds), strict=True))


def _has_bfloat(graph: Graph) -> bool:
    """Whether it takes or gives bfloat16, which onnxruntime's Python interface does not."""
    return any(value.type.dtype is DType.BF16 for value in (*graph.inputs, *graph.outputs))


def _opset_for(graph: Graph) -> int | None:
    return max((REWRITTEN_BEFORE[node.op] for node in graph.nodes if node.op in REWRITTEN_BEFORE), default=None)


class ExportBackend(CnncBackend):
    """Exports models and runs what was exported."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> ExportedModel:
        return ExportedModel(model, kwargs, compiled=False)


def collect_cases() -> dict[str, Callable[[], None]]:
    """Every CPU case that cnnc passes, by name."""
    with warnings.catch_warnings():
        # ONNX computes the expected values of its cases right now, infinities included.
        warnings.simplefilter("ignore")
        suite = onnx.backend.test.BackendTest(ExportBackend, __name__)
    left_out = {*HEAVY, *_not_interpreted()}
    cases: dict[str, Callable[[], None]] = {}
    for test_class in suite.test_cases.values():
        for method in dir(test_class):
            name = method.removesuffix("_cpu")
            if method.startswith("test_") and method != name and name not in left_out and reason_for(name) is None:
                cases[name] = getattr(test_class(method), method)
    return cases


def _not_interpreted() -> set[str]:
    """Cases that the interpreter does not pass, as against compiled models."""
    lines = [line.partition("#")[0] for line in MANIFEST.read_text().splitlines()]
    return {line.removeprefix("interpreter:").strip() for line in lines if line.startswith("interpreter:")}


CASES = collect_cases()


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExportedModel, "name", name)
    CASES[name]()


def test_the_list_of_differences_is_of_cases() -> None:
    assert set(ONNXRUNTIME_DIFFERS) <= set(CASES)
