"""State_dicts of PyTorch: every tensor is what PyTorch saved, in both containers, whatever its strides and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.weights import read_weights
from cnnc.types import DType
from tests.weights.torch_files import (
    ORDERED_DICT,
    Call,
    Global,
    pickled,
    save_state_dict,
    storage,
    tensor,
    torch_legacy,
    torch_zip,
)

FILES = Path(__file__).parent / "files"
NET = {
    "conv.weight": (2, 1, 3, 3),
    "conv.bias": (2,),
    "bn.weight": (2,),
    "bn.bias": (2,),
    "bn.running_mean": (2,),
    "bn.running_var": (2,),
    "bn.num_batches_tracked": (),
    "head.weight": (4, 4),
    "head.bias": (4,),
    "tied.weight": (4, 4),
    "tied.bias": (4,),
}
BOTH = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])


@pytest.mark.parametrize("name", ["net.pth", "net_before_1_6.pth", "net_protocol_5.pth", "checkpoint.pth"])
def test_files_that_pytorch_wrote(name: str) -> None:
    weights = read_weights(FILES / name)
    assert {name: array.shape for name, array in weights.items()} == NET
    for array in weights.values():
        np.testing.assert_array_equal(array.reshape(-1), np.arange(array.size))
        assert array.flags.aligned
        assert not array.flags.writeable


@pytest.mark.parametrize("name", ["unusual.pth", "unusual_before_1_6.pth"])
def test_every_type_and_stride_that_pytorch_wrote(name: str) -> None:
    weights = dict(read_weights(FILES / name))
    whole = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(weights.pop("transposed"), whole.transpose(2, 0, 1))
    np.testing.assert_array_equal(weights.pop("sliced"), whole[1:, ::2, 1:3])
    np.testing.assert_array_equal(weights.pop("expanded"), np.zeros(5))
    np.testing.assert_array_equal(weights.pop("scalar"), np.zeros(()))
    assert weights.pop("empty").shape == (0, 3)
    np.testing.assert_array_equal(weights.pop("channels_last"), np.arange(24).reshape(1, 2, 3, 4))
    assert len(weights) == 14
    for name, array in weights.items():
        assert array.dtype.name == name
        np.testing.assert_array_equal(array.astype(np.float64), np.arange(16).astype(array.dtype).astype(np.float64))


def test_elements_of_new_files_are_not_copied() -> None:
    weights = read_weights(FILES / "net.pth")
    assert np.shares_memory(weights["head.weight"], weights["tied.weight"])
    assert np.shares_memory(weights["conv.weight"], weights["conv.weight"])


def test_whole_modules_and_torchscript_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"whole_module\.pth.*'__main__\.Net'.*nothing(.|\n)*save_file"):
        read_weights(FILES / "whole_module.pth")
    with pytest.raises(UnsupportedError, match=r"TorchScript(.|\n)*torch\.jit\.load"):
        read_weights(FILES / "torchscript.pt")


@BOTH
def test_hand_made_files(tmp_path: Path, legacy: bool) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7), "d": np.array([0.5])}
    weights = read_weights(save_state_dict(tmp_path / "w.pth", arrays, legacy=legacy))
    assert list(weights) == ["w", "n", "d"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(weights[name], array, strict=True)


def test_floats_are_converted_where_asked() -> None:
    weights = read_weights(FILES / "unusual.pth", float_dtype=DType.F32)
    assert weights["bfloat16"].dtype == weights["float8_e5m2"].dtype == weights["float64"].dtype == np.float32
    assert weights["int64"].dtype == np.int64
    assert not weights["bfloat16"].flags.writeable
    assert weights.stored_dtype("bfloat16").name == "bfloat16"
    with pytest.raises(OptionError, match=r"i64.*no floating-point"):
        read_weights(FILES / "unusual.pth", float_dtype=DType.I64)


def test_files_of_big_endian_machines(tmp_path: Path) -> None:
    table = {"w": tensor("0", 3, (3,), (1,))}
    elements = np.array([1, 2, 3], ">f4").tobytes()
    weights = read_weights(torch_zip(tmp_path / "w.pth", pickled(table), {"0": elements}, byte_order=b"big"))
    np.testing.assert_array_equal(weights["w"], np.array([1, 2, 3], np.float32), strict=True)


def test_files_before_the_byte_order_was_recorded(tmp_path: Path) -> None:
    table = {"w": tensor("0", 3, (3,), (1,))}
    elements = np.array([1, 2, 3], "<f4").tobytes()
    weights = read_weights(torch_zip(tmp_path / "w.pth", pickled(table), {"0": elements}, byte_order=None))
    np.testing.assert_array_equal(weights["w"], [1, 2, 3])


def test_names_that_older_and_gpu_files_use(tmp_path: Path) -> None:
    """The first version of _rebuild_tensor, storages on a GPU, parameters, and Python 2's OrderedDict."""
    first = Call(Global("torch._utils", "_rebuild_tensor"), (storage("0", 2), 0, (2,), (1,)))
    on_gpu = storage("1", 2, "FloatStorage")
    identity = ("storage", Global("torch.cuda", "FloatStorage"), "1", "cuda:0", 2)
    on_gpu = type(on_gpu)(identity)
    rebuilt = Call(Global("torch._utils", "_rebuild_tensor_v2"), (on_gpu, 0, (2,), (1,), False, ORDERED_DICT))
    parameter = Call(Global("torch._utils", "_rebuild_parameter"), (rebuilt, True, ORDERED_DICT))
    table = Call(Global("collections", "OrderedDict"), ([["a", first], ["b", parameter]],))
    elements = {"0": np.array([1, 2], "<f4").tobytes(), "1": np.array([3, 4], "<f4").tobytes()}
    weights = read_weights(torch_zip(tmp_path / "w.pth", pickled(table), elements))
    assert {name: array.tolist() for name, array in weights.items()} == {"a": [1, 2], "b": [3, 4]}


def test_true_is_stored_in_one_way(tmp_path: Path) -> None:
    table = {"mask": tensor("0", 3, (3,), (1,), kind="BoolStorage")}
    mask = read_weights(torch_zip(tmp_path / "w.pth", pickled(table), {"0": b"\0\1\5"}))["mask"]
    assert mask.view(np.uint8).tolist() == [0, 1, 1]


# Checkpoints


def checkpoint(tmp_path: Path, root: object, *, legacy: bool = False) -> Path:
    """A file of ``root``, whose tensors all lie in storage 0 of four elements."""
    elements = np.arange(4, dtype=np.float32)
    if legacy:
        return torch_legacy(tmp_path / "w.pth", pickled(root), {"0": elements})
    return torch_zip(tmp_path / "w.pth", pickled(root), {"0": elements.tobytes()})


def weight(first: int = 0) -> Call:
    return tensor("0", 4, (2,), (1,), offset=first)


@BOTH
@pytest.mark.parametrize(
    ("root", "entry", "left_out"),
    [
        ({"w": weight(2)}, "", ()),
        ({"state_dict": {"w": weight(2)}, "epoch": 3}, "state_dict", ("epoch",)),
        ({"best": weight(), "model": {"w": weight(2)}}, "model", ("best",)),
        ({"ema": {"w": weight()}, "model_state_dict": {"w": weight(2)}}, "model_state_dict", ("ema",)),
        ({"model": {"state_dict": {"w": weight(2)}, "args": None}}, "model/state_dict", ()),
        ({"generator": {"w": weight(2)}, "step": 5}, "generator", ("step",)),
        ({"w": weight(2), "w._extra_state": None}, "", ("w._extra_state",)),
        ({"net": {"w": weight(2)}, "optimizer": {"state": {0: {"momentum": weight()}}}}, "net", ("optimizer",)),
    ],
)
def test_the_state_dict_in_a_checkpoint(
    tmp_path: Path, root: object, entry: str, left_out: tuple[str, ...], legacy: bool
) -> None:
    weights = read_weights(checkpoint(tmp_path, root, legacy=legacy))
    assert {name: array.tolist() for name, array in weights.items()} == {"w": [2, 3]}
    assert weights.entry == entry
    assert weights.left_out == left_out
    assert repr(entry) in str(weights) or not entry


def test_one_of_two_networks(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, {"generator": {"w": weight()}, "critic": {"w": weight(2)}})
    with pytest.raises(ModelError, match=r"several tables of tensors: 'generator', 'critic'(.|\n)*entry="):
        read_weights(path)
    assert read_weights(path, entry="critic")["w"].tolist() == [2, 3]


def test_an_entry_that_is_not_there(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, {"model": {"w": weight()}})
    with pytest.raises(OptionError, match=r"no table of tensors 'ema'; there is 'model'"):
        read_weights(path, entry="ema")


@pytest.mark.parametrize(("root", "what"), [(weight(), "a tensor"), ([weight()], "a list"), (5, "the number 5")])
def test_files_without_names(tmp_path: Path, root: object, what: str) -> None:
    with pytest.raises(ModelError, match=f"the file holds {what}; expected a table of names and tensors"):
        read_weights(checkpoint(tmp_path, root))


def test_files_without_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no table of tensors(.|\n)*state_dict"):
        read_weights(checkpoint(tmp_path, {"epoch": 3}))
