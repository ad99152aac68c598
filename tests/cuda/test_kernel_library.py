"""GPU kernels on disk: cached, found again without a compiler, compiled anew when damaged, compiled in parallel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnnc.errors import OptionError
from cnnc.runtime.cuda import assemble, compile, kernel_library, toolkit
from cnnc.runtime.cuda.target import cuda_target, ptx_target
from cnnc.runtime.jit import cache_key
from cnnc.runtime.jit.parallel_compile import compile_many
from cnnc.runtime.kernel import Variant

TARGET = cuda_target("sm_80")
SMALL = Variant.of("copy.fill", size=4)

pytestmark = pytest.mark.jit
needs_toolkit = pytest.mark.skipif(toolkit.find_program("ptxas") is None, reason="ptxas is not installed (cuda13)")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder for one test."""
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch):
    """A list that grows with "ptx" and "cubin" as they are made."""
    made = []
    for module, name, what in ((compile, "compile_ptx", "ptx"), (assemble, "assemble", "cubin")):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *args, what=what, original=original: made.append(what) or original(*args)
        )
    return made


@needs_toolkit
def test_second_time_it_comes_from_the_cache(folder, calls):
    assert not kernel_library.is_cached(SMALL, TARGET)
    first = kernel_library.compiled_cubin(SMALL, TARGET)
    assert kernel_library.is_cached(SMALL, TARGET)
    assert kernel_library.compiled_cubin(SMALL, TARGET) == first
    assert first.image[:4] == b"\x7fELF" and first.resources.registers > 0
    assert kernel_library.compiled_ptx(SMALL, TARGET).count(".entry kernel(") == 1
    assert calls == ["ptx", "cubin"]
    assert folder.stat().st_mode & 0o777 == 0o700


@needs_toolkit
@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "short"])
def test_damaged_entry_is_made_anew(folder, calls, damage):
    first = kernel_library.compiled_cubin(SMALL, TARGET)
    (entry,) = folder.glob("*.cubin")
    good = entry.read_bytes()
    bad = {"flip": good[:-1] + bytes([good[-1] ^ 1]), "truncate": good[:-9], "empty": b"", "short": good[:60]}
    entry.write_bytes(bad[damage])
    assert kernel_library.compiled_cubin(SMALL, TARGET) == first
    assert calls == ["ptx", "cubin", "cubin"]
    assert entry.read_bytes() == good


def test_key_depends_on_variant_architecture_and_compilers(monkeypatch):
    def key(variant=SMALL, architecture="sm_80"):
        kernel_library._key.cache_clear()
        return kernel_library._key(variant, cuda_target(architecture))

    base = key()
    assert key() == base
    assert key(Variant.of("copy.fill", size=1)) != base
    assert key(architecture="sm_90") != base
    monkeypatch.setattr(cache_key, "package_versions", lambda packages: "another numba-cuda")
    assert key() != base
    kernel_library._key.cache_clear()


def test_key_covers_what_a_kernel_is_made_with():
    modules = cache_key.source_modules("cnnc.runtime.cuda.conv_implicit_gemm", "cnnc.runtime.cuda.assemble")
    wanted = {"compile", "assemble", "memory_access", "register_tile", "conv_implicit_gemm"}
    assert {f"cnnc.runtime.cuda.{name}" for name in wanted} <= set(modules)
    assert "cnnc.runtime.cuda.driver" not in modules


@needs_toolkit
def test_cached_kernel_needs_no_numba(folder):
    code = (
        "import sys\n"
        "from cnnc.runtime.kernel import Variant\n"
        "from cnnc.runtime.cuda.kernel_library import compiled_cubin\n"
        "from cnnc.runtime.cuda.target import cuda_target\n"
        f"compiled_cubin(Variant({SMALL.kernel!r}, {SMALL.params!r}), cuda_target('sm_80'))\n"
        "print(sorted({'numba', 'numba_cuda', 'llvmlite', 'cuda', 'subprocess'} & set(sys.modules)))\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
        for _ in range(2)
    ]
    assert "numba_cuda" in outputs[0]
    assert outputs[1].strip() == "[]"


@needs_toolkit
def test_compile_many_fills_the_cache(folder):
    variants = [Variant.of("copy.fill", size=size) for size in (1, 4)]
    seen = []
    compile_many([*variants, variants[0]], jobs=2, target=TARGET, progress=lambda *count: seen.append(count))
    assert seen == [(1, 2), (2, 2)]
    assert all(kernel_library.is_cached(variant, TARGET) for variant in variants)


@pytest.mark.parametrize("missing", ["numba_cuda", "ptxas"])
def test_missing_compiler_is_named_once(folder, monkeypatch, missing):
    monkeypatch.setattr(toolkit, "find_program", lambda name: None if name == missing else name)
    monkeypatch.setattr(toolkit.importlib.util, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(OptionError, match=r"numba-cuda|ptxas") as caught:
        compile_many([SMALL], jobs=2, target=TARGET)
    assert "pip install 'cnnc[cuda13]'" in str(caught.value)


@pytest.mark.parametrize(("architecture", "shared"), [("sm_75", "sm_75"), ("sm_80", "sm_80"), ("sm_90a", "sm_80")])
def test_newer_architectures_share_ptx(architecture, shared):
    assert ptx_target(cuda_target(architecture)).cpu == shared
