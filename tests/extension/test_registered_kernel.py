"""Kernels from outside cnnc: held to what all kernels are held to, compiled, and cached under their own sources."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cnnc.errors import InternalError
from cnnc.extending import register_kernel
from cnnc.runtime.cpu import EXTENSIONS, kernel_def, kernel_module, kernel_names
from cnnc.runtime.jit.cache_key import extension_digest
from cnnc.runtime.jit.kernel_library import is_cached
from cnnc.runtime.jit.parallel_compile import compile_many
from cnnc.runtime.kernel import KernelDef, Variant
from tests.extension.fake_package import Installed, importable
from tests.kernels.harness import run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "extension_package"
NAME = "example.squared_relu"


@pytest.fixture
def kernel() -> Iterator[KernelDef]:
    """The kernel of the example package, registered in this process; the package is not installed."""
    with importable(EXAMPLE):
        yield register_kernel(importlib.import_module("cnnc_squared_relu.kernel").KERNEL)
    EXTENSIONS.unregister(NAME)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cnnc_squared_relu"]:
        del sys.modules[name]


@pytest.mark.jit
@pytest.mark.parametrize("count", [1, 17, 4096, 4096 * 2 + 5])
def test_the_example_kernel_keeps_the_contract(kernel: KernelDef, count: int) -> None:
    x = np.random.default_rng(count).normal(size=count).astype(np.float32)
    x[:: max(count // 3, 2)] = np.nan
    found = run(Variant.of(NAME), {"y": np.zeros(count, np.float32), "x": x}, {"count": count})
    np.testing.assert_array_equal(found["y"], np.maximum(x, 0) ** 2)


@pytest.mark.jit
def test_what_only_this_process_knows_is_compiled_here(
    kernel: KernelDef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path))
    told: list[tuple[int, int]] = []
    variants = [Variant.of(NAME, flavour=index) for index in range(2)] + [Variant.of("copy.fill", size=1, flavour=0)]
    compile_many(variants, 2, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert all(is_cached(variant) for variant in variants)


def test_tables_know_the_kernel(kernel: KernelDef) -> None:
    assert kernel_def(NAME) is kernel
    assert NAME in kernel_names()
    assert kernel_module(NAME) == "cnnc_squared_relu.kernel"
    with pytest.raises(InternalError, match=r"no CPU kernel 'example\.other'"):
        kernel_def("example.other")


SOURCE = """
import cnnc_squared_relu.kernel as original
from dataclasses import replace
def build(target, params):
    return original._build(target, params)
KERNEL = replace(original.KERNEL, name="my.kernel", build=build)
"""


def test_a_changed_source_is_another_kernel(installed: Installed, kernel: KernelDef) -> None:
    installed.add("my-kernels", SOURCE, {"cnnc.kernels": {"my.kernel": "KERNEL"}})
    assert kernel_module("my.kernel") == "my_kernels"
    digests = set()
    for line in ("", "\n# another line\n"):
        (installed.folder / "my_kernels.py").write_text(SOURCE + line)
        extension_digest.cache_clear()
        digests.add(extension_digest("my_kernels"))
    assert len(digests) == 2
    extension_digest.cache_clear()
    assert extension_digest("cnnc_squared_relu.kernel") != extension_digest("cnnc_squared_relu.rules")
