"""The JIT: cache, linker, executable memory, targets, and that cached kernels need no compiler."""

import ctypes
import os
import subprocess
import sys
import time
import warnings

import pytest

from cnnc.errors import InternalError, OptionError
from cnnc.runtime.cpu import kernel_def, kernel_module, kernel_names
from cnnc.runtime.jit import cache, cache_key, kernel_library
from cnnc.runtime.jit.blob import Blob
from cnnc.runtime.jit.link import link
from cnnc.runtime.jit.memory import load_object, map_blob
from cnnc.runtime.jit.parallel_compile import compile_many
from cnnc.runtime.jit.target import host_target, maps_blobs, x86_target
from cnnc.runtime.jit.worker import Worker
from cnnc.runtime.kernel import Variant

pytestmark = [pytest.mark.jit, pytest.mark.skipif(not maps_blobs(), reason="blobs are mapped on Linux x86-64 only")]

LANES = host_target().lanes
SMALL = Variant.of("conv.f32.blocked.pointwise", columns=2, blocks=1, activation="none", residual=0, lanes=LANES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder for one test."""
    path = tmp_path / "cache"
    monkeypatch.setenv("CNNC_CACHE_DIR", str(path))
    monkeypatch.setattr(kernel_library, "_loaded", {})
    return path


def compiles(monkeypatch):
    """A list that grows with each compilation."""
    import cnnc.runtime.jit.compile as jit_compile

    calls = []
    original = jit_compile.compile_object
    monkeypatch.setattr(jit_compile, "compile_object", lambda *args: calls.append(args) or original(*args))
    return calls


def test_second_load_comes_from_the_cache(folder, monkeypatch):
    calls = compiles(monkeypatch)
    assert not kernel_library.is_cached(SMALL)
    first = kernel_library.load_kernel(SMALL)
    assert kernel_library.load_kernel(SMALL) == first
    kernel_library._loaded.clear()
    assert kernel_library.is_cached(SMALL)
    kernel_library.load_kernel(SMALL)
    assert len(calls) == 1
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.glob("*.blob"))) == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage"])
def test_damaged_entry_is_compiled_anew(folder, monkeypatch, damage):
    kernel_library.load_kernel(SMALL)
    (entry,) = folder.glob("*.blob")
    good = entry.read_bytes()
    bad = {"flip": good[:-1] + bytes([good[-1] ^ 1]), "truncate": good[:-9], "empty": b"", "garbage": b"x" * 500}
    entry.write_bytes(bad[damage])
    kernel_library._loaded.clear()
    calls = compiles(monkeypatch)
    kernel_library.load_kernel(SMALL)
    assert len(calls) == 1
    assert entry.read_bytes() == good


def test_folder_open_to_others_is_not_used(folder):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="written by other users.*CNNC_CACHE_DIR"):
        assert cache.cache_folder() is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel_library.load_kernel(SMALL)  # warned once; still runs
    assert list(folder.iterdir()) == []


def test_key_depends_on_variant_target_and_source(monkeypatch):
    module = kernel_module(SMALL.kernel)
    target = host_target()
    base = cache_key.cache_key(SMALL, module, target)
    assert cache_key.cache_key(SMALL, module, target) == base
    wider = Variant.of(SMALL.kernel, **{**SMALL.options, "columns": 3})
    assert cache_key.cache_key(wider, module, target) != base
    assert cache_key.cache_key(SMALL, module, x86_target("sse")) != base
    assert {"cnnc.runtime.cpu.tile", "cnnc.runtime.cpu.vector", "cnnc.runtime.cpu.vector_math"} <= set(
        cache_key.source_modules(module)
    )
    original = cache_key._source
    monkeypatch.setattr(cache_key, "source_digest", cache_key.hashed_sources)  # not the remembered one
    monkeypatch.setattr(cache_key, "_source", lambda name: (original(name) or b"") + b"#" * name.endswith("vector"))
    assert cache_key.cache_key(SMALL, module, target) != base


@pytest.fixture
def sources(folder, tmp_path, monkeypatch):
    """A runtime of two source files, an hour old; and the modules whose sources are hashed, in turn."""
    root = tmp_path / "runtime"
    (root / "cpu").mkdir(parents=True)
    for name in ("kernel.py", "cpu/tile.py"):
        (root / name).write_text("x = 1\n")
    hashed = []
    now = time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(cache_key, "_RUNTIME", root)
    monkeypatch.setattr(cache_key.time, "time_ns", lambda: now)
    monkeypatch.setattr(
        cache_key, "hashed_sources", lambda module, compiler: hashed.append(module) or f"digest {len(hashed)}"
    )
    yield root, hashed
    forget_digests()


def forget_digests():
    for remembered in (cache_key.source_digest, cache_key._known_digests, cache_key._source_stamp):
        remembered.cache_clear()


def digest_in_new_process(module):
    forget_digests()
    return cache_key.source_digest(module)


def test_digests_are_kept_while_the_sources_stand(sources):
    root, hashed = sources
    first = digest_in_new_process("a")
    assert digest_in_new_process("a") == first
    other = digest_in_new_process("b")
    assert digest_in_new_process("b") == other != first
    assert hashed == ["a", "b"]
    (root / "cpu" / "tile.py").write_text("x = 2\n")  # as many bytes
    assert digest_in_new_process("a") != first
    (root / "cpu" / "more.py").write_text("")
    assert digest_in_new_process("a") not in (first, other)
    assert hashed == ["a", "b", "a", "a"]


def test_digests_of_fresh_sources_are_not_kept(sources, monkeypatch):
    _, hashed = sources
    now = time.time_ns()
    monkeypatch.setattr(cache_key.time, "time_ns", lambda: now - 3600 * 10**9 + 10**9)
    digest_in_new_process("a")
    digest_in_new_process("a")
    assert hashed == ["a", "a"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"stamp": 3, "digests": 4}'])
def test_damaged_digests_are_ignored(sources, folder, content):
    _, hashed = sources
    digest_in_new_process("a")
    (file,) = folder.glob("sources-*.json")
    file.write_bytes(content)
    digest_in_new_process("a")
    assert hashed == ["a", "a"]


def test_cached_kernel_loads_without_numba_or_llvmlite(folder):
    code = (
        "import sys\n"
        "from cnnc.runtime.kernel import Variant\n"
        "from cnnc.runtime.jit.kernel_library import load_kernel\n"
        f"load_kernel(Variant({SMALL.kernel!r}, {SMALL.params!r}))\n"
        "print(sorted({'numba', 'llvmlite', 'onnx', 'networkx'} & set(sys.modules)))\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
        for _ in range(2)
    ]
    assert "numba" in outputs[0]
    assert outputs[1].strip() == "[]"


def test_compile_many_fills_the_cache(folder):
    variants = [Variant.of(SMALL.kernel, **{**SMALL.options, "columns": columns}) for columns in (1, 3)]
    seen = []
    compile_many([*variants, variants[0]], jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert all(kernel_library.is_cached(variant) for variant in variants)


def test_compile_many_names_the_kernel_that_fails(folder):
    broken = Variant.of("conv.f99", lanes=8)
    target = host_target()
    worker = Worker()
    try:
        with pytest.raises(InternalError, match=r"conv\.f99"):
            worker.compile(broken, target)
        worker.compile(SMALL, target)  # and goes on
    finally:
        worker.close()
    assert kernel_library.is_cached(SMALL)


def _object(function):
    from cnnc.runtime.jit.compile import compile_function

    return compile_function(function, host_target())


def _store_sum(args, begin, end, scratch):
    args[0] = args[1] + begin + end + scratch


def test_blob_runs_where_it_is_mapped():
    block = (ctypes.c_int64 * 2)(0, 40)
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    data = _object(_store_sum)
    for address in (map_blob(link(data)), load_object(data, "kernel")):
        block[0] = 0
        prototype(address)(ctypes.addressof(block), 1, 2, -1)
        assert block[0] == 42


def test_code_pages_are_not_writable():
    address = map_blob(link(_object(_store_sum)))
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, mode = line.split()[:2]
            start, stop = (int(text, 16) for text in span.split("-"))
            if start <= address < stop:
                assert mode.startswith("r-x")
                return
    pytest.fail("the code is not mapped")


def test_linker_refuses_undefined_symbols():
    import llvmlite.binding as llvm

    from cnnc.runtime.jit import compile as jit_compile

    jit_compile._initialise()
    text = "declare void @elsewhere()\ndefine void @kernel() {\n call void @elsewhere()\n ret void\n}"
    data = jit_compile._target_machine(host_target()).emit_object(llvm.parse_assembly(text))
    with pytest.raises(InternalError, match="elsewhere"):
        link(data)


def test_linker_refuses_writable_data():
    import llvmlite.binding as llvm

    from cnnc.runtime.jit import compile as jit_compile

    jit_compile._initialise()
    text = "@state = global i64 7\ndefine i64 @kernel() {\n %v = load i64, ptr @state\n ret i64 %v\n}"
    data = jit_compile._target_machine(host_target()).emit_object(llvm.parse_assembly(text))
    with pytest.raises(InternalError, match="writable"):
        link(data)


def test_linker_refuses_other_files():
    with pytest.raises(InternalError, match="ELF"):
        link(b"MZ" + bytes(200))


def test_unknown_target_and_kernel(monkeypatch):
    monkeypatch.setenv("CNNC_TARGET", "mmx")
    with pytest.raises(OptionError, match="mmx is unknown"):
        host_target()
    with pytest.raises(InternalError, match=r"conv\.f99"):
        kernel_def("conv.f99")


def test_every_kernel_in_the_table_exists_and_imports_no_numba():
    code = (
        "import sys\n"
        "from cnnc.runtime.cpu import kernel_def, kernel_names\n"
        "for name in kernel_names(): kernel_def(name)\n"
        "assert not {'numba', 'llvmlite'} & set(sys.modules)\n"
    )
    assert kernel_names()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=os.environ)


def test_blob_is_plain_bytes():
    blob = kernel_library.compiled_blob(SMALL)
    assert isinstance(blob, Blob)
    assert 0 <= blob.entry < len(blob.code)
