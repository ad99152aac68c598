"""Arrays on a GPU as inputs and outputs of sessions, by the CUDA Array Interface and by DLPack, without a copy."""

from __future__ import annotations

import gc

import ml_dtypes
import numpy as np
import pytest

import cnnc
from cnnc.dims import symbol
from cnnc.emulation import EmulatedDevice
from cnnc.errors import InputError, OptionError
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime.aligned_memory import bytes_of
from cnnc.runtime.cuda import dlpack
from cnnc.runtime.cuda.device_array import DeviceArray
from cnnc.runtime.cuda.foreign_array import device_view
from cnnc.types import DType, TensorType


def softmax(twice: bool = False) -> Graph:
    """[N,5,4]; with ``twice`` the result and the input are outputs too."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((symbol("N"), 5, 4), DType.F32))
    y = graph.add_node("softmax", [x], OPS["softmax"].attrs(axis=1), names=["y"]).output
    graph.set_outputs([y, y, x] if twice else [y], ["y", "again", "same"] if twice else ["y"])
    return graph


def session_on(device: EmulatedDevice, **options: bool):
    pytest.importorskip("numba_cuda")
    return cnnc.compile(softmax(**options), target="cuda:sm_80").session(device=device)


def on_device(device: EmulatedDevice, array: np.ndarray) -> DeviceArray:
    address = device.allocate(max(array.nbytes, 1))
    device.upload(address, bytes_of(array))
    return DeviceArray(device, address, array.shape, array.dtype, None)


class ByInterface:
    """An array of another library, which knows the CUDA Array Interface."""

    def __init__(self, array: DeviceArray, **facts: object) -> None:
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **facts}


class ByDLPack:
    """An array of another library, which knows DLPack."""

    def __init__(self, array: DeviceArray, location: tuple[int, int] = (dlpack.CUDA, 0)) -> None:
        self._array, self._location = array, location

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._location

    def __dlpack__(self, stream: int | None = None) -> object:
        assert stream is not None
        return self._array.__dlpack__(stream=stream)


X = np.random.default_rng(0).standard_normal((3, 5, 4), np.float32)
EXPECTED = np.exp(X) / np.exp(X).sum(1, keepdims=True)


@pytest.mark.jit
@pytest.mark.parametrize("library", [lambda array: array, ByInterface, ByDLPack])
def test_inputs_are_read_where_they_lie(library) -> None:
    device = EmulatedDevice()
    session = session_on(device)
    x = on_device(device, X)
    copied = []
    device.upload = lambda address, data: copied.append(address)  # type: ignore[method-assign]
    [y] = session.run_on_device(None, {"x": library(x)})
    assert copied == []
    np.testing.assert_allclose(y.numpy(), EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(session.run(None, {"x": library(x)})[0], EXPECTED, rtol=1e-6)


@pytest.mark.jit
def test_outputs_keep_their_memory_until_they_are_collected() -> None:
    device = EmulatedDevice()
    session = session_on(device, twice=True)
    session.run(None, {"x": X})
    free = session._executor.memory.free_bytes()
    first = session.run_on_device(["y"], {"x": X})
    second = session.run_on_device(["same", "again"], {"x": 2 * X})
    np.testing.assert_allclose(np.asarray(first[0]), EXPECTED, rtol=1e-6)
    np.testing.assert_array_equal(second[0].numpy(), 2 * X)
    assert second[1].numpy().sum() == pytest.approx(12)
    assert session._executor.memory.free_bytes() < free
    del first, second
    gc.collect()
    assert session._executor.memory.free_bytes() == free
    left = session.run_on_device(["y"], {"x": X})
    del session
    gc.collect()
    np.testing.assert_allclose(left[0].numpy(), EXPECTED, rtol=1e-6)
    del left
    gc.collect()
    assert device.free_bytes() == EmulatedDevice().free_bytes()


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1", "u8", "?", ml_dtypes.bfloat16], ids=str)
def test_dlpack_there_and_back(dtype) -> None:
    device = EmulatedDevice()
    array = on_device(device, np.ones((2, 0, 3) if dtype == "i1" else (2, 1, 3), dtype))
    view = device_view(ByDLPack(array), device)
    assert view is not None
    assert (view.address, view.shape, view.dtype, view.nbytes) == (
        array.address,
        array.shape,
        array.dtype,
        array.nbytes,
    )
    assert dlpack._given
    del view
    gc.collect()
    assert not dlpack._given


def test_consumed_capsules_live_until_they_are_deleted() -> None:
    capsule = on_device(EmulatedDevice(), X).__dlpack__()
    [(address, (managed, *_))] = dlpack._given.items()
    managed.deleter(managed)
    assert address not in dlpack._given
    del capsule
    with pytest.raises(BufferError, match="without a copy"):
        on_device(EmulatedDevice(), X).__dlpack__(copy=True)


def test_arrays_that_do_not_fit() -> None:
    device = EmulatedDevice()
    x = on_device(device, X)
    rows = ByInterface(x, strides=(80, 4, 20))
    shifted = ByInterface(x, data=(x.address + 4, False))
    elsewhere = ByDLPack(x, (dlpack.CUDA, 1))
    for array, words in ((rows, "not contiguous"), (shifted, "multiple of 16"), (elsewhere, "on GPU 1")):
        with pytest.raises(InputError, match=words) as caught:
            device_view(array, device)
        assert "next step" in str(caught.value)
    assert device_view(ByInterface(x, strides=(80, 16, 4), stream=1), device).shape == X.shape
    assert device_view(X, device) is device_view([1.0], device) is None


@pytest.mark.jit
def test_checks_are_those_of_arrays_on_the_host() -> None:
    device = EmulatedDevice()
    session = session_on(device)
    with pytest.raises(InputError, match="expected dtype float32, got float64"):
        session.run(None, {"x": on_device(device, X.astype(np.float64))})
    with pytest.raises(InputError, match="expected 5 at axis 1"):
        session.run_on_device(None, {"x": on_device(device, np.ones((3, 4, 5), np.float32))})


@pytest.mark.jit
def test_the_cpu_has_no_device_arrays() -> None:
    session = cnnc.compile(softmax()).session()
    x = on_device(EmulatedDevice(), X)
    np.testing.assert_allclose(session.run(None, {"x": np.asarray(x)})[0], EXPECTED, rtol=1e-6)
    with pytest.raises(OptionError, match="runs on the CPU"):
        session.run_on_device(None, {"x": X})
