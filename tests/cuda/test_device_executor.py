"""Programs on the emulated device: host steps in between, sizes that values decide, memory, targets, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc.dims import symbol
from cnnc.emulation import EmulatedDevice
from cnnc.errors import InputError, OptionError
from cnnc.ir import Graph
from cnnc.ops import OPS
from cnnc.ptx import AccessError
from cnnc.runtime import InferenceSession
from cnnc.runtime.cuda.device_memory import DeviceMemory
from cnnc.runtime.cuda.executor import DeviceExecutor
from cnnc.types import DType, TensorType

needs_compiler = pytest.mark.usefixtures("compiler")


@pytest.fixture
def compiler() -> None:
    pytest.importorskip("numba_cuda")


def network() -> Graph:
    """[N,5,9,7]: sums along an axis on the host, a pool and a softmax in kernels, non-zeros on the host again."""
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((symbol("N"), 5, 9, 7), DType.F32))
    axis = graph.add_constant(np.array(2, np.int64), "axis")
    sums = graph.add_node("cum_sum", [x, axis], OPS["cum_sum"].attrs(), names=["sums"]).output
    window = OPS["max_pool"].attrs(kernel_shape=(3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    pooled = graph.add_node("max_pool", [sums], window, names=["pooled"]).output
    y = graph.add_node("softmax", [pooled], OPS["softmax"].attrs(axis=1), names=["y"]).output
    places = graph.add_node("non_zero", [y], OPS["non_zero"].attrs(), names=["places"]).output
    doubled = graph.add_node("add", [places, places], OPS["add"].attrs(), names=["doubled"]).output
    graph.set_outputs([y, doubled], ["y", "doubled"])
    return graph


@needs_compiler
def test_equals_the_cpu_at_every_batch_size() -> None:
    on_cpu = cnnc.compile(network()).session()
    device = EmulatedDevice()
    session = cnnc.compile(network(), target="cuda:sm_80").session(device=device)
    assert session.get_providers() == ["CUDAExecutionProvider"]
    for batch in (1, 3, 1):
        x = np.random.default_rng(batch).standard_normal((batch, 5, 9, 7), np.float32)
        for got, expected in zip(session.run(None, {"x": x}), on_cpu.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert device.counters["softmax"].flops > 0


@needs_compiler
def test_poisoned_arenas_change_nothing() -> None:
    compiled = cnnc.compile(network(), target="cuda:sm_80")
    x = np.random.default_rng(0).standard_normal((2, 5, 9, 7), np.float32)
    runs = [
        DeviceExecutor(compiled.executable, EmulatedDevice(), poison=poison).run([x], {"N": 2})
        for poison in (False, True)
    ]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


@needs_compiler
def test_profile_names_kernels_and_host_steps() -> None:
    compiled = cnnc.compile(network(), target="cuda:sm_80")
    session = InferenceSession(compiled, device=EmulatedDevice(), profile=True)
    session.run(None, {"x": np.ones((1, 5, 9, 7), np.float32)})
    kernels = {timing.op: timing.kernels for timing in session.last_profile}
    assert kernels["cum_sum"] == () and kernels["non_zero"] == ()
    assert kernels["softmax"][0].startswith("softmax")


@needs_compiler
def test_saved_programs_run_again(tmp_path: Path) -> None:
    compiled = cnnc.compile(network(), target="cuda:sm_80")
    compiled.save(tmp_path / "model.cnnc")
    x = {"x": np.random.default_rng(0).standard_normal((1, 5, 9, 7), np.float32)}
    session = InferenceSession(tmp_path / "model.cnnc", device=EmulatedDevice())
    np.testing.assert_array_equal(session.run(["y"], x)[0], compiled.session(device=EmulatedDevice()).run(["y"], x)[0])


def test_a_file_for_the_gpu_compiles_for_the_cpu_too(tmp_path: Path) -> None:
    cnnc.compile(network(), target="cuda:sm_80").save(tmp_path / "model.cnnc")
    again = cnnc.compile(tmp_path / "model.cnnc")
    assert again.run({"x": np.ones((1, 5, 9, 7), np.float32)})["y"].shape == (1, 5, 5, 4)


@needs_compiler
def test_too_little_memory_is_said_before_the_first_launch() -> None:
    compiled = cnnc.compile(network(), target="cuda:sm_80")
    device = EmulatedDevice(memory_bytes=100_000)
    session = compiled.session(device=device)
    with pytest.raises(InputError, match=r"N=60 needs .* GiB of emulated sm_80 are free") as caught:
        session.run(None, {"x": np.ones((60, 5, 9, 7), np.float32)})
    assert "next step" in str(caught.value)
    assert device.counters == {}
    assert session.run(["y"], {"x": np.ones((1, 5, 9, 7), np.float32)})[0].shape == (1, 5, 5, 4)


@pytest.mark.parametrize(
    ("target", "fragment"),
    [
        ("cuda:sm_61", "sm_61 is too old"),
        ("cuda:volta", "'volta' is no GPU architecture"),
        ("cuda:", "is no GPU architecture"),
        ("gpu", "target 'gpu' does not exist"),
    ],
)
def test_unknown_targets(target: str, fragment: str) -> None:
    with pytest.raises(OptionError, match="next step") as caught:
        cnnc.compile(network(), target=target)
    assert fragment in str(caught.value)


def test_level_3_asks_for_measurements() -> None:
    with pytest.raises(OptionError, match="level 3 measures kernels"):
        cnnc.compile(network(), level=3, target="cuda:sm_80")


def test_programs_and_devices_that_do_not_fit() -> None:
    with pytest.raises(OptionError, match="compiled for the CPU"):
        cnnc.compile(network()).session(device=EmulatedDevice())
    with pytest.raises(OptionError, match=r"compiled for sm_90, emulated sm_80 is sm_80"):
        cnnc.compile(network(), target="cuda:sm_90").session(device=EmulatedDevice("sm_80"))


def test_memory_is_taken_again() -> None:
    device = EmulatedDevice(memory_bytes=4096)
    memory = DeviceMemory(device)
    first = memory.take(1000)
    memory.give(first)
    assert memory.take(700) == first
    assert memory.take(700) != first
    memory.give(first)
    assert memory.free_bytes() == 4096 - 700
    # The free block is too large to be worth it, and there is not enough beside it.
    large = memory.take(3300)
    assert device.free_bytes() == 4096 - 700 - 3300
    with pytest.raises(InputError, match="not free"):
        memory.take(200)
    memory.give(large)
    assert memory.keeps([2000]) and memory.keeps([]) and not memory.keeps([2000, 1800]) and not memory.keeps([100])


@needs_compiler
def test_a_device_is_asked_for_memory_once() -> None:
    device = EmulatedDevice()
    session = cnnc.compile(network(), target="cuda:sm_80").session(device=device)
    x = {"x": np.ones((2, 5, 9, 7), np.float32)}
    session.run(None, x)
    device.free_bytes = lambda: pytest.fail("the device was asked again")  # type: ignore[method-assign]
    session.run(None, x)


def test_the_emulated_device_checks_copies() -> None:
    device = EmulatedDevice()
    address = device.allocate(16)
    device.upload(address + 4, np.arange(4, dtype=np.uint8))
    data = np.zeros(8, np.uint8)
    device.download(data, address)
    np.testing.assert_array_equal(data, [255, 255, 255, 255, 0, 1, 2, 3])
    with pytest.raises(AccessError, match="which has 16"):
        device.upload(address + 12, np.zeros(8, np.uint8))
    device.release(address)
    with pytest.raises(AccessError):
        device.download(data, address)
