"""``cnnc export``: from the command line to a file that others read."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from cnnc.frontends import import_onnx
from tests.cli.command_line import LENET, cnnc, done
from tests.export.canonical import canonical_text


def test_the_imported_graph(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    assert "12 nodes, opset 18" in done("export", LENET, "-o", path)
    onnx.checker.check_model(str(path), full_check=True)
    assert canonical_text(import_onnx(path)) == canonical_text(import_onnx(LENET))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_optimised(tmp_path: Path, level: int) -> None:
    path = tmp_path / "out.onnx"
    done("export", LENET, "-o", path, f"-O{level}")
    model = onnx.load(path)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"cnnc.stage": "optimised"}
    onnx.checker.check_model(model, full_check=True)


def test_shapes_and_opset(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    assert "opset 20" in done("export", LENET, "-o", path, "--shape", "input=2,1,28,28", "--opset", "20")
    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_external_data_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    text = done("export", LENET, "-o", path, "--external-data")
    assert f"{path} and {path}.data: 12 nodes" in text
    onnx.checker.check_model(str(path), full_check=True)


def test_text_graphs(tmp_path: Path) -> None:
    graph, path = tmp_path / "graph.ir", tmp_path / "out.onnx"
    done("opt", LENET, "-p", "fold-constants", "-o", graph)
    done("export", graph, "-o", path)
    assert onnx.load(path).graph.name == import_onnx(LENET).name


def test_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "out.onnx"
    copy = tmp_path / "model.onnx"
    copy.write_bytes(LENET.read_bytes())
    for arguments, parts in (
        ((LENET,), ("-o",)),
        ((copy, "-o", copy), ("is the model itself", "next step")),
        ((LENET, "-o", tmp_path / "no" / "out.onnx"), ("does not exist", "mkdir")),
        ((LENET, "-o", path, "--opset", "12"), ("opset 12 is not between 18 and", "next step")),
        ((tmp_path / "none.onnx", "-o", path), ("no such file",)),
    ):
        result = cnnc("export", *arguments)
        assert result.exit_code == 2
        assert all(part in result.output for part in parts), result.output
    assert not path.exists()


def test_a_placed_graph_is_refused(tmp_path: Path) -> None:
    graph = tmp_path / "placed.ir"
    done("opt", LENET, "-O2", "-o", graph)
    result = cnnc("export", graph, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 2
    assert "placed" in result.output and "next step" in result.output
