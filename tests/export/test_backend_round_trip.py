"""Every model of the ONNX backend test-suite that cnnc imports, exported and imported again."""

from __future__ import annotations

import os
from collections.abc import Mapping

import onnx
import onnxruntime
from functools import partial

from cnnc import interp
from cnnc.backend import CnncBackend, PreparedModel, Run
from cnnc.export import export_graph
from cnnc.frontends import import_onnx
from cnnc.ir import Array
from tests.export.canonical import canonical_text
import onnx.backend.test, warnings, pytest

class Exported(PreparedModel):
    def _build(self, values: Mapping[str, Array]) -> Run:
        graph = import_onnx(self._model, shapes=self._shapes, values=values)
        model = export_graph(graph, opset=self._opset if hasattr(self,'_opset') else None)
        onnx.checker.check_model(model, full_check=True)
        again = import_onnx(model)
        assert canonical_text(again) == canonical_text(graph)
        if os.environ.get("ENG") == "ort":
            try:
                o=onnxruntime.SessionOptions(); o.graph_optimization_level=onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL; o.log_severity_level=4
                s = onnxruntime.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])
                names=[x.name for x in s.get_outputs()]
                return lambda f: dict(zip(names, s.run(None, f)))
            except Exception as e:
                print("ORTREF", str(e)[:150])
        return partial(interp.run, again)

class B(CnncBackend):
    @classmethod
    def prepare(cls, model, device="CPU", **kw):
        return Exported(model, kw, compiled=False)

from tests.backend import test_onnx_backend as base
def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suite = onnx.backend.test.BackendTest(B, __name__)
    d={}
    for c in suite.test_cases.values():
        for n in dir(c):
            if n.startswith("test_") and n.endswith("_cpu"): d[n.removesuffix("_cpu")] = getattr(c(n), n)
    return d
C=cases()
@pytest.mark.parametrize("name",[n for n in C if base.reason_for(n) is None and n not in base.HEAVY])
def test_case(name): C[name]()
