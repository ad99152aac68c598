"""``benchmarks/sparse_models.py`` prunes the layers and the share that it is asked for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def import_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def network() -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    shapes = {"pointwise": (22, 16, 1, 1), "window": (8, 22, 3, 3), "depthwise": (8, 1, 3, 3), "large": (4, 8, 5, 5)}
    nodes, weights, value = [], [], "x"
    for name, shape in shapes.items():
        group = 8 if name == "depthwise" else 1
        nodes.append(helper.make_node("Conv", [value, name], [f"y_{name}"], group=group))
        weights.append(numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name))
        value = f"y_{name}"
    sizes = (("x", (1, 16, 14, 14)), (value, (1, 4, 6, 6)))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in sizes]
    return helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], weights))


@pytest.mark.parametrize("sparsity", [0.5, 0.9])
@pytest.mark.parametrize("pattern", ["unstructured", "block4"])
def test_pruned_files(tmp_path: Path, sparsity: float, pattern: str) -> None:
    import sparse_models

    from cnnc.lower.density import weight_density

    source = network()
    onnx.save(source, tmp_path / "net.onnx")
    options = ["--sparsity", str(sparsity), "--patterns", pattern, "--out", str(tmp_path / "out")]
    assert sparse_models.main([str(tmp_path / "net.onnx"), *options]) == 0
    [path] = (tmp_path / "out").iterdir()
    assert path.name == f"net_{pattern[0]}{round(sparsity * 100)}.onnx"
    made = onnx.load(path)
    for before, after in zip(source.graph.initializer, made.graph.initializer, strict=True):
        dense, pruned = numpy_helper.to_array(before), numpy_helper.to_array(after)
        if before.name in ("depthwise", "large"):
            np.testing.assert_array_equal(dense, pruned)
            continue
        is_kept = pruned != 0
        np.testing.assert_array_equal(pruned[is_kept], dense[is_kept])
        found = weight_density(pruned)
        assert found.pattern == pattern
        assert found.density == pytest.approx(1 - sparsity, abs=0.05)
        if pattern == "unstructured":
            assert np.abs(dense[is_kept]).min() > np.abs(dense[~is_kept]).max()
    del made.graph.initializer[:], source.graph.initializer[:]
    assert made == source
