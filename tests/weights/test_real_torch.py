"""Files of the PyTorch that is installed, if one is: what it saved is what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.frontends.weights import match_weights, read_weights, write_weights

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")


def network() -> torch.nn.Module:
    """Convolution, batch normalization, tied weights, half precision, and a tensor with strides of its own."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 8))
    net.append(torch.nn.Linear(8, 8))
    net[3].weight = net[2].weight
    net.register_buffer("halves", torch.randn(5).bfloat16())
    net.register_buffer("turned", torch.randn(4, 5).t())
    net.register_buffer("channels_last", torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last))
    return net


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dicts(tmp_path: Path, zipped: bool, protocol: int) -> None:
    saved = network().state_dict()
    root = {"epoch": 3, "state_dict": saved}
    torch.save(root, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    weights = read_weights(tmp_path / "w.pth")
    assert weights.entry == "state_dict"
    assert match_weights({name: tuple(tensor.shape) for name, tensor in saved.items()}, weights).is_complete
    for name, tensor in saved.items():
        assert weights[name].dtype.name == str(tensor.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(weights[name].astype(np.float32), tensor.float().numpy())


def test_pytorch_reads_what_is_written(tmp_path: Path) -> None:
    from_package = pytest.importorskip("safetensors.torch")
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}
    write_weights(tmp_path / "w.safetensors", arrays)
    for name, tensor in from_package.load_file(tmp_path / "w.safetensors").items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name], strict=True)
