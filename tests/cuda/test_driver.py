"""The driver's device over a fake libcuda, which the real bindings load: programs, copies, records, every refusal."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.errors import OptionError
from cnnc.runtime.cuda import driver_calls, toolkit
from cnnc.runtime.cuda.driver import open_device

SOURCE = Path(__file__).with_name("fake_driver.c")
ROOT = SOURCE.parents[2]

pytestmark = [
    pytest.mark.jit,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the fake driver is a library for Linux"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc, which compiles the fake driver, is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("cuda") is None, reason="cuda-bindings is not installed (cuda13)"),
]
needs_toolkit = pytest.mark.skipif(toolkit.find_program("ptxas") is None, reason="ptxas is not installed (cuda13)")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with the fake libcuda.so.1."""
    folder = tmp_path_factory.mktemp("driver")
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", folder / "libcuda.so.1", SOURCE]
    subprocess.run(command, check=True)
    return folder


def scenario(library, name, **environment):
    """What a function of ``driver_scenarios`` prints."""
    variables = {**os.environ, "LD_LIBRARY_PATH": str(library), "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "tests.cuda.driver_scenarios", name]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_toolkit
def test_a_whole_program(library):
    launches, replays = scenario(library, "whole_program").split()
    # Of six runs of one size the first launches its two segments plainly; a run of another size stands between them.
    assert int(replays) == 2 * 5
    assert scenario(library, "whole_program", FAKE_CUDA_NO_CAPTURE="1") == f"{launches} 0"


@needs_toolkit
def test_device_arrays(library):
    scenario(library, "device_arrays")


@needs_toolkit
def test_profiles_have_the_time_of_events(library):
    assert scenario(library, "profile") == "[0.0025]"


def test_copies_go_through_pinned_memory_in_parts(library):
    scenario(library, "copies")


def test_the_driver_tells_the_facts(library):
    scenario(library, "facts")


@needs_toolkit
def test_out_of_memory_names_need_and_what_is_free(library):
    program, allocation = scenario(library, "out_of_memory").split("\nInputError ")
    assert "InputError running with N=60 needs" in program and "of Fake GPU are free" in program
    assert "next step" in program
    assert "0.00 GiB of Fake GPU are asked for" in allocation and "end other programs" in allocation


@needs_toolkit
def test_a_failing_kernel_is_our_bug(library):
    assert "CUDA_ERROR_LAUNCH_FAILED" in scenario(library, "failing_kernel")


@pytest.mark.parametrize(
    ("environment", "fragments"),
    [
        ({"FAKE_CUDA_START": "100"}, ["finds no GPU", "use the CPU"]),
        ({"FAKE_CUDA_DEVICES": "0"}, ["finds no GPU", "use the CPU"]),
        ({"FAKE_CUDA_START": "803"}, ["does not start: an error of the fake driver", "nvidia-smi"]),
        ({"FAKE_CUDA_VERSION": "11080"}, ["driver is of CUDA 11.8, cuda-bindings is of CUDA 1", "update the driver"]),
        ({"FAKE_CUDA_CAPABILITY": "70"}, ["Fake GPU is too old: it is sm_70", "use the CPU"]),
        ({"FAKE_CUDA_CAPABILITY": "90"}, ["Fake GPU sm_90"]),
    ],
)
def test_devices_that_cannot_be_used(library, environment, fragments):
    text = scenario(library, "open_only", **environment)
    assert all(fragment in text for fragment in fragments), text


@needs_toolkit
@pytest.mark.parametrize("status", ["200", "209", "222"])
def test_a_driver_older_than_the_toolkit(library, status):
    text = scenario(library, "open_only", FAKE_CUDA_NO_CODE=status)
    assert "does not take code of the installed toolkit" in text and "update the driver" in text


@needs_toolkit
def test_the_kernel_suite_runs_on_the_device(library):
    *_, summary, launches = scenario(library, "kernel_suite").splitlines()
    assert int(launches) > 20, summary


def test_the_kernel_suite_without_a_device_says_why(library):
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-rs", "-p", "no:cacheprovider", "tests/cuda/test_copy.py"]
    variables = {**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_CUDA_DEVICES": "0"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert "finds no GPU on this machine" in done.stdout and "SKIPPED" in done.stdout
    assert " passed" not in done.stdout


def test_no_driver_at_all(tmp_path):
    text = scenario(tmp_path, "open_only")
    if "sm_" in text:
        pytest.skip("this machine has a driver")
    assert "no NVIDIA driver is installed" in text and "next step" in text


def test_missing_bindings_are_named(monkeypatch):
    driver_calls.driver.cache_clear()
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(OptionError, match=r"cuda-bindings, which is not installed\n.*pip install 'cnnc\[cuda13\]'"):
        open_device()
