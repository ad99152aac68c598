"""Files: written whole or not at all, tensors inside or beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import cnnc
from cnnc import interp
from cnnc.errors import OptionError, UnsupportedError
from cnnc.export import export_model
from cnnc.export import file as export_file
from cnnc.export.tensors import ALIGNMENT, LEAST_EXTERNAL_BYTES
from cnnc.frontends import import_onnx
from cnnc.ir import Graph, print_graph
from cnnc.sample_inputs import sample_inputs
from tests.cli.command_line import LENET
from tests.export.canonical import canonical_text
from tests.export.judged import run_onnxruntime
from tests.passes.sketch import Sketch


def network() -> Graph:
    sketch = Sketch()
    x = sketch.input("N", 4, 8, 8)
    y = sketch.op("conv", x, sketch.normal(16, 4, 3, 3, name="w1"), sketch.normal(16), name="c1")
    y = sketch.op("conv", y, sketch.normal(33, 16, 3, 3, name="w2"), name="c2")
    return sketch.returns(sketch.op("reshape", y, sketch.ints(0, -1), name="flat")).graph


def test_a_model_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = export_model(network(), path)
    assert onnx.load(path) == model
    assert [item.name for item in tmp_path.iterdir()] == ["net.onnx"]


def test_external_data(tmp_path: Path) -> None:
    graph, path = network(), tmp_path / "net.onnx"
    model = export_model(graph, path, external_data=True)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    onnx.checker.check_model(str(path), full_check=True)
    entries = {
        tensor.name: {entry.key: entry.value for entry in tensor.external_data} for tensor in model.graph.initializer
    }
    assert {name for name, keys in entries.items() if keys} == {"w1", "w2"}
    sizes = {value.name: value.array.nbytes for value in graph.constants if value.array is not None}
    for name in ("w1", "w2"):
        assert sizes[name] >= LEAST_EXTERNAL_BYTES
        assert entries[name]["location"] == "net.onnx.data"
        assert int(entries[name]["length"]) == sizes[name]
        assert int(entries[name]["offset"]) % ALIGNMENT == 0
    again = import_onnx(path)
    assert canonical_text(again) == canonical_text(graph)
    feeds = sample_inputs(graph)
    np.testing.assert_allclose(
        run_onnxruntime(str(path), feeds)["y0"], interp.run(graph, feeds)["y0"], rtol=1e-4, atol=1e-4
    )


def test_large_models_take_external_data_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network()
    size = sum(value.array.nbytes for value in graph.constants if value.array is not None)
    for limit, files in ((size, 1), (size - 1, 2)):
        monkeypatch.setattr(export_file, "MAX_INLINE_BYTES", limit)
        folder = tmp_path / str(limit)
        folder.mkdir()
        export_model(graph, folder / "net.onnx")
        assert len(list(folder.iterdir())) == files
        assert canonical_text(import_onnx(folder / "net.onnx")) == canonical_text(graph)


def test_external_data_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError) as caught:
        export_model(network(), external_data=True)
    assert "in no file" in str(caught.value) and "give a path" in str(caught.value)
    monkeypatch.setattr(export_file, "MAX_INLINE_BYTES", 1000)
    with pytest.raises(OptionError, match="models over 2 GB need one"):
        export_model(network())


@pytest.mark.parametrize("external_data", [False, True])
def test_a_failed_export_leaves_the_old_files(tmp_path: Path, external_data: bool) -> None:
    path = tmp_path / "net.onnx"
    graph = network()
    export_model(graph, path, external_data=external_data)
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    graph.stage = "placed"
    with pytest.raises(UnsupportedError):
        export_model(graph, path, external_data=external_data)
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for path in (first, second):
        export_model(network(), path)
    assert first.read_bytes() == second.read_bytes()


def test_export_onnx_takes_what_compile_takes(tmp_path: Path) -> None:
    expected = cnnc.export_onnx(LENET)
    path = tmp_path / "lenet.onnx"
    for model in (str(LENET), LENET.read_bytes(), onnx.load(LENET), import_onnx(LENET)):
        assert cnnc.export_onnx(model, path) == expected
        assert onnx.load(path) == expected
    artifact = tmp_path / "lenet.cnnc"
    cnnc.compile(LENET).save(artifact)
    assert cnnc.export_onnx(artifact) == cnnc.export_onnx(LENET, level=2)


def test_export_onnx_at_a_level_leaves_the_graph_alone() -> None:
    graph = import_onnx(LENET)
    text = print_graph(graph)
    model = cnnc.export_onnx(graph, level=1)
    assert print_graph(graph) == text
    assert {entry.value for entry in model.metadata_props} == {"optimised"}
    optimised = cnnc.compile(LENET, level=1).optimised
    assert cnnc.export_onnx(optimised, level=2) == model


def test_export_onnx_options() -> None:
    model = cnnc.export_onnx(LENET, shapes={"input": (3, 1, 28, 28)}, opset=21)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3
    assert model.opset_import[0].version == 21
    with pytest.raises(OptionError, match="level 7 does not exist"):
        cnnc.export_onnx(LENET, level=7)
