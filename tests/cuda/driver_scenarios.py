"""What ``test_driver.py`` runs with the fake driver: ``python -m tests.cuda.driver_scenarios`` and a function's name.

It prints what is to be compared, and ends with an exception where something is wrong.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc.dims import symbol
from cnnc.emulation import EmulatedDevice
from cnnc.errors import CnncError, InternalError
from cnnc.frozen_dataclass import replace
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.runtime import InferenceSession
from cnnc.runtime.cuda import pinned_staging
from cnnc.runtime.cuda.device_facts import A100
from cnnc.runtime.cuda.driver import DriverDevice, open_device
from cnnc.runtime.cuda.driver_facts import facts_of_device
from cnnc.runtime.kernel import Variant
from cnnc.types import DType, TensorType
from tests.cuda.fake_driver import FakeDriver
from tests.cuda.test_device_array import ByDLPack, ByInterface, on_device, softmax


def network() -> Graph:
    """[N,5,9,7]: a pool, sums along an axis on the host, and a softmax."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((symbol("N"), 5, 9, 7), DType.F32))
    window = OPS["max_pool"].attrs(kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    pooled = graph.add_node("max_pool", [x], window, names=["pooled"]).output
    axis = graph.add_constant(np.array(2, np.int64), "axis")
    sums = graph.add_node("cum_sum", [pooled, axis], OPS["cum_sum"].attrs(), names=["sums"]).output
    y = graph.add_node("softmax", [sums], OPS["softmax"].attrs(axis=1), names=["y"]).output
    graph.set_outputs([y], ["y"])
    return graph


def data(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, 5, 9, 7), np.float32)


def whole_program() -> None:
    """Plain launches first, then records, other sizes in between; everything is given back in the end."""
    fake = FakeDriver(EmulatedDevice())
    session = InferenceSession(cnnc.compile(network(), target="cuda:sm_80"), device=open_device())
    on_cpu = cnnc.compile(network()).session()
    for batch in (2, 2, 2, 1, 2, 2, 2):
        x = data(batch)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], on_cpu.run(None, {"x": x})[0], rtol=1e-6)
    assert not fake.failures, fake.failures
    assert fake.alive() > 0
    del session
    gc.collect()
    assert fake.alive() == 0, fake.alive()
    print(len(fake.launches), fake.replays())


def profile() -> None:
    FakeDriver(EmulatedDevice())
    session = InferenceSession(cnnc.compile(network(), target="cuda:sm_80"), device=open_device(), profile=True)
    session.run(None, {"x": data(1)})
    kernels = [timing for timing in session.last_profile if timing.kernels]
    print(sorted({timing.seconds for timing in kernels}))


def copies() -> None:
    """Data of many parts of the staging buffers, changed as soon as the copy is asked for."""
    fake = FakeDriver(EmulatedDevice())
    pinned_staging.PART_BYTES = 1000
    device = open_device()
    address = device.allocate(5500)
    sent = np.random.default_rng(0).integers(0, 256, 5500).astype(np.uint8)
    expected, received = sent.copy(), np.zeros(5500, np.uint8)
    device.upload(address, sent)
    sent[:] = 0
    device.download(received, address)
    np.testing.assert_array_equal(received, expected)
    device.fill(address, 3, 7)
    device.download(received[:4], address)
    assert list(received[:3]) == [7, 7, 7] and received[3] == expected[3]
    device.release(address)
    assert not fake.failures


def out_of_memory() -> None:
    """The weights fit, the arena does not; and what other programs took since the device was asked."""
    FakeDriver(EmulatedDevice(memory_bytes=100_000))
    device = open_device()
    session = InferenceSession(cnnc.compile(network(), target="cuda:sm_80"), device=device)
    for attempt in (lambda: session.run(None, {"x": data(60)}), lambda: device.allocate(200_000)):
        try:
            attempt()
        except CnncError as error:
            print(type(error).__name__, error)


def failing_kernel() -> None:
    FakeDriver(EmulatedDevice())
    device = open_device()
    kernel = device.load(Variant.of("copy.fill", size=4))
    try:
        device.launch(kernel, 1, 256, [256, 1, 0])  # nobody's address
        device.synchronize()
    except InternalError as error:
        print(error)


def device_arrays() -> None:
    """Results of one session are what another reads, by both protocols; everything is given back in the end."""
    fake = FakeDriver(EmulatedDevice())
    device = open_device()
    session = InferenceSession(cnnc.compile(network(), target="cuda:sm_80"), device=device)
    other = InferenceSession(cnnc.compile(softmax(), target="cuda:sm_80"), device=device)
    [y] = session.run_on_device(None, {"x": data(3)})
    first = np.ascontiguousarray(y.numpy()[:, :, :4, 0])
    expected = np.exp(first) / np.exp(first).sum(1, keepdims=True)
    x = on_device(device, first)
    for array in (x, ByDLPack(x), ByInterface(x, stream=1)):
        np.testing.assert_allclose(other.run(None, {"x": array})[0], expected, rtol=1e-6)
    device.release(x.address)
    del session, other, device, x, y, array
    gc.collect()
    assert not fake.failures and fake.alive() == 0, (fake.failures, fake.alive())


def facts() -> None:
    """The fake GPU is an A100 by another name."""
    found = facts_of_device(open_device())
    assert replace(found, name="A100", memory_bandwidth=0.0) == replace(A100, memory_bandwidth=0.0)
    assert abs(found.memory_bandwidth / A100.memory_bandwidth - 1) < 1e-3


def kernel_suite() -> None:
    """``pytest -m gpu``, as on a machine with a GPU; prints how often the driver was asked to launch."""
    fake = FakeDriver(EmulatedDevice())
    suite = [str(Path(__file__).with_name(name)) for name in ("test_copy.py", "test_matrix_lowering.py::test_few_rows")]
    outcome = pytest.main(["-q", "-x", "-m", "gpu", "-p", "no:cacheprovider", *suite])
    assert outcome == pytest.ExitCode.OK and not fake.failures, fake.failures
    print(len(fake.launches))


def open_only() -> None:
    """Opens the device that the environment describes; prints the error."""
    try:
        device = DriverDevice()
        if "FAKE_CUDA_NO_CODE" in os.environ:
            FakeDriver(EmulatedDevice())
            device.load(Variant.of("copy.fill", size=4))
        print(device.name, device.architecture)
    except CnncError as error:
        print(type(error).__name__, error)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
