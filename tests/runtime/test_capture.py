"""Intermediate tensors: of compiled models and of sessions, by tensor and by node, fused away or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.compiler import CompiledModel, read_graph
from cnnc.errors import InputError, OptionError
from cnnc.runtime import InferenceSession

LENET = Path(__file__).resolve().parents[2] / "examples" / "models" / "lenet5_fashion.onnx"
X = np.random.default_rng(0).standard_normal((1, 1, 28, 28)).astype(np.float32)
FUSED = "/c1/Conv"
"""A node whose result no tensor of the program is: the ReLU behind it is fused into it."""

pytestmark = pytest.mark.jit


@pytest.fixture(scope="module")
def lenet() -> CompiledModel:
    return cnnc.compile(LENET)


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    return interp.run(read_graph(LENET), {"input": X}, capture=["/c1/Conv_output_0"])["/c1/Conv_output_0"]


@pytest.mark.parametrize("name", [FUSED, "/c1/Conv_output_0"])
def test_a_tensor_by_its_name_or_its_nodes(lenet: CompiledModel, wanted: np.ndarray, name: str) -> None:
    results = lenet.run({"input": X}, capture=[name, name, "logits"])
    assert list(results) == ["logits", name]
    np.testing.assert_allclose(results[name], wanted, atol=1e-5)


def test_of_a_graph_that_was_compiled(wanted: np.ndarray) -> None:
    graph = read_graph(LENET)
    compiled = cnnc.compile(graph)
    np.testing.assert_allclose(compiled.run({"input": X}, capture=[FUSED])[FUSED], wanted, atol=1e-5)
    # The graph that is kept for it is not that of the first capture.
    assert list(compiled.run({"input": X}, capture=["/Relu"])) == ["logits", "/Relu"]


@pytest.mark.parametrize("kind", ["path", "bytes", "compiled", "artifact"])
def test_of_a_session(lenet: CompiledModel, wanted: np.ndarray, tmp_path: Path, kind: str) -> None:
    lenet.save(tmp_path / "lenet.cnnc")
    model = {"path": LENET, "bytes": LENET.read_bytes(), "compiled": lenet, "artifact": tmp_path / "lenet.cnnc"}[kind]
    # A file holds the graph behind the fusions.
    name = "/Relu_output_0" if kind == "artifact" else FUSED
    session = InferenceSession(model, capture=[name])
    assert [port.name for port in session.get_outputs()] == ["logits", name]
    [result] = session.run([name], {"input": X})
    np.testing.assert_allclose(result, wanted.clip(0) if kind == "artifact" else wanted, atol=1e-5)


def test_a_program_holds_no_graph(lenet: CompiledModel) -> None:
    with pytest.raises(OptionError, match="a program holds no graph"):
        InferenceSession(lenet.executable, capture=[FUSED])


def test_a_name_that_means_nothing_and_those_that_are_near(lenet: CompiledModel) -> None:
    with pytest.raises(InputError, match="no tensor and no node called '/c1/Cnov'") as caught:
        lenet.run({"input": X}, capture=["/c1/Cnov"])
    assert "'/c1/Conv'" in caught.value.hint
    with pytest.raises(InputError, match="no tensor and no node"):
        InferenceSession(LENET, capture=["/c1/Cnov"])
