"""The example that trains while cnnc prunes: its data, its networks, and a short run of it."""

from __future__ import annotations

import gzip
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import cnnc
from cnnc import interp
from cnnc.compiler import read_graph

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MODELS = EXAMPLES / "models"
LENET = MODELS / "lenet5_fashion.onnx"
NETWORKS = ["lenet5_fashion", "resnet14_fashion-bn", "mbv2mini_fashion-bn", "resnet14_fashion-bn-pruned90"]


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module beside the example, as the example imports it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


def bundled() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 28, 28] and their classes [N]."""
    with np.load(EXAMPLES / "images" / "fashion_quantization.npz") as arrays:
        return arrays["images"], arrays["labels"]


def idx(array: np.ndarray) -> bytes:
    """The file of an array of bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What runs ONNX in PyTorch, if that is installed."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    return module("onnx_in_pytorch", monkeypatch)


def test_images_as_they_are_distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = module("fashion_mnist", monkeypatch)
    images, labels = bundled()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    np.savez(tmp_path / "fashion_mnist_train.npz", images=images, labels=labels)
    from_idx, from_npz = data.load(tmp_path, "test"), data.load(tmp_path, "train")
    assert from_idx.pixels.shape == (len(images), 1, 28, 28)
    np.testing.assert_array_equal(from_idx.pixels, from_npz.pixels)
    np.testing.assert_array_equal(from_idx.labels, labels)
    np.testing.assert_allclose(from_idx.pixels[0, 0] * data.STD + data.MEAN, images[0] / 255, atol=1e-6)


def test_missing_images_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"train-images-idx3-ubyte.*fashion_mnist"):
        module("fashion_mnist", monkeypatch).load(tmp_path, "train")


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_computes_what_cnnc_does(name: str, exported: bool, training: Any) -> None:
    """For models as PyTorch writes them, and as cnnc does, which leaves out what is the default."""
    torch = pytest.importorskip("torch")
    path = MODELS / f"{name}.onnx"
    model = cnnc.export_onnx(path) if exported else onnx.load(path)
    pixels = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)
    with torch.no_grad():
        scores = training.Network(model)(torch.from_numpy(pixels)).numpy()
    expected = interp.run(read_graph(model), {"input": pixels})["logits"]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("store_sparse", [False, True])
def test_what_is_written_is_what_was_trained(store_sparse: bool, training: Any) -> None:
    """Weights, names, nodes and statistics; and reading it again gives them all."""
    torch = pytest.importorskip("torch")
    network = training.Network(onnx.load(MODELS / "resnet14_fashion-bn.onnx"))
    statistics = network.arrays()["b.running_mean"].copy()
    network(torch.ones(2, 1, 28, 28), training=True).sum().backward()
    with torch.no_grad():
        for name in network.trained:
            network.weights[name] -= network.weights[name].grad
            network.weights[name][network.weights[name].abs() < 0.1] = 0
    written = network.exported(store_sparse)
    assert bool(written.graph.sparse_initializer) == store_sparse
    assert written.graph.node == network.model.graph.node
    graph, again = read_graph(written), training.Network(written)
    for name, array in network.arrays().items():
        np.testing.assert_array_equal(graph.value(name).array, array)
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert not np.array_equal(again.arrays()["b.running_mean"], statistics)
    assert again.trained and set(again.trained) == set(network.trained)


def test_operators_that_are_not_taught_are_named(training: Any) -> None:
    torch = pytest.importorskip("torch")
    image = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 1, 2, 2))
    graph = helper.make_graph([helper.make_node("Softsign", ["x"], ["y"])], "g", [image], [image])
    with pytest.raises(SystemExit, match="Softsign"):
        training.Network(helper.make_model(graph))(torch.ones(1, 1, 2, 2))
    with pytest.raises(SystemExit, match="pads"):
        training.padding({"pads": [1, 1, 2, 1]})
    with pytest.raises(SystemExit, match="SAME_UPPER"):
        training.padding({"auto_pad": b"SAME_UPPER"})


@pytest.fixture
def folder(tmp_path: Path, training: Any) -> Path:
    """A few images, as the example's data."""
    images, labels = bundled()
    for part in ("train", "test"):
        np.savez(tmp_path / f"fashion_mnist_{part}.npz", images=images, labels=labels)
    return tmp_path


@pytest.mark.jit
@pytest.mark.parametrize(("pattern", "least"), [("unstructured", 0.9), ("block4", 0.89)])
def test_as_many_weights_are_zero_as_asked_for(pattern: str, least: float, folder: Path) -> None:
    run_example(folder, f"--pattern={pattern}")
    weights = np.concatenate([array.reshape(-1) for array in layers(folder / "pruned.onnx")])
    assert np.mean(weights == 0) >= least


@pytest.mark.jit
def test_channels_leave_the_network(folder: Path) -> None:
    run_example(folder, "--pattern=channel", "--sparsity=0.5")
    left = sum(array.size for array in layers(folder / "pruned.onnx"))
    assert 0.2 < left / sum(array.size for array in layers(LENET)) < 0.35


def test_gradients_are_what_cnnc_reads(folder: Path) -> None:
    start_example(folder, "--epochs=0", "--gradients=g.npz")
    for criterion in ("gradient", "taylor"):
        pruned = cnnc.prune(LENET, sparsity=0.5, criterion=criterion, gradients=folder / "g.npz")
        assert pruned.totals.pruned_sparsity == pytest.approx(0.5, abs=1e-3)


def layers(path: Path) -> list[np.ndarray]:
    """Weights of the layers of a model."""
    arrays = [value.array for value in read_graph(path).constants]
    return [array for array in arrays if array is not None and array.ndim > 1]


def run_example(folder: Path, *options: str) -> None:
    """Make ``pruned.onnx``: training makes it better, and cnnc finds it as good."""
    lines = start_example(folder, "--epochs=3", "-opruned.onnx", *options)
    at_once, trained, compiled = (
        next(float(line.split(": ")[1][:6]) for line in lines if what in line)
        for what in ("pruned at once", "trained on", "run by cnnc")
    )
    assert trained > at_once
    assert trained == compiled


def start_example(folder: Path, *options: str) -> list[str]:
    """Lines that it prints, run in the folder of its images."""
    command = [sys.executable, str(EXAMPLES / "pruning_pytorch.py"), str(folder), f"--model={LENET}", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
