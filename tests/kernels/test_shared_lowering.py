"""Numba lowers a kernel once for all variants that differ in their intrinsics, and asks for the type of an operation
once a kernel."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from numba.core.compiler_lock import global_compiler_lock

from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.jit import numba_ir
from cnnc.runtime.jit.compile import compile_object
from cnnc.runtime.jit.target import x86_target
from cnnc.runtime.jit.type_memo import remembered_types
from cnnc.runtime.kernel import Variant

pytestmark = pytest.mark.jit

SSE, AVX512 = x86_target("sse"), x86_target("avx512")


@pytest.fixture
def lowered(tmp_path, monkeypatch):
    """Functions that Numba lowers, none being known before."""
    monkeypatch.setenv("CNNC_CACHE_DIR", str(tmp_path / "cache"))
    functions = []
    lower = numba_ir._lower

    def noted(function):
        functions.append(function)
        return lower(function)

    monkeypatch.setattr(numba_ir, "_lowered", {})
    monkeypatch.setattr(numba_ir, "_lower", noted)
    return functions


@pytest.mark.parametrize(
    ("kernel", "one", "other", "times"),
    [
        ("layout.plain_to_blocked", {"lanes": 16, "size": 4}, {"lanes": 16, "size": 4}, 1),
        ("byte.max_filter", {"element": "u8", "lanes": 16}, {"element": "i8", "lanes": 16}, 1),
        ("copy.fill", {"size": 1}, {"size": 4}, 2),  # its size is a number of the code
    ],
)
def test_variants_share_a_lowering(lowered, kernel, one, other, times):
    for options in (one, other, one):
        with global_compiler_lock:
            numba_ir.numba_ir(kernel_def(kernel).build(AVX512, options))
    assert len(lowered) == times


def test_code_that_is_written_in_place_is_its_targets_own(lowered):
    variant = Variant.of("layout.plain_to_blocked", lanes=4)
    first = compile_object(variant, SSE)
    assert compile_object(variant, SSE) == first and len(lowered) == 1
    compile_object(variant, AVX512)
    assert len(lowered) == 2


def ir_of(kernel, **options):
    """IR of a kernel, with nothing in this process's memory."""
    numba_ir._lowered.clear()
    with global_compiler_lock:
        return numba_ir.numba_ir(kernel_def(kernel).build(AVX512, options))[0]


def test_other_processes_find_a_lowering_on_disk(lowered):
    first = ir_of("copy.fill", size=4)
    assert ir_of("copy.fill", size=4) == first and len(lowered) == 1
    ir_of("copy.fill", size=1)
    assert len(lowered) == 2


@pytest.mark.parametrize("damage", [b"", b"damaged", b"CNNCLOOP"])
def test_a_damaged_lowering_is_made_anew(lowered, tmp_path, damage):
    first = ir_of("copy.fill", size=4)
    [file] = (tmp_path / "cache").glob("*.loops")
    file.write_bytes(damage)
    ir_of("copy.fill", size=4)
    assert len(lowered) == 2
    assert len(first) < 40 * file.stat().st_size


def test_lowerings_of_unknown_sources_are_not_kept(lowered, tmp_path):
    def kernel(args, begin, end, scratch):
        args[0] = begin

    with global_compiler_lock:
        numba_ir.numba_ir(kernel)
    assert lowered == [kernel]
    assert list(tmp_path.glob("cache/*.loops")) == []


class Context:
    """Numbers its answers."""

    def __init__(self):
        self.asked = 0

    def resolve_function_type(self, function, arguments, named):
        self.asked += 1
        return self.asked


def test_types_are_remembered_until_the_block_ends():
    context = Context()
    with pytest.raises(ValueError), remembered_types(context):
        assert [context.resolve_function_type(max, pair, {}) for pair in [(1, 2), (1, 2), (2, 1)]] == [1, 1, 2]
        assert [context.resolve_function_type("static_getitem", (1, slice(2)), {}) for _ in range(2)] == [3, 4]
        assert [context.resolve_function_type(max, (1, 2), {"key": 3}) for _ in range(2)] == [5, 6]
        raise ValueError
    assert context.resolve_function_type(max, (1, 2), {}) == 7


def test_object_code_is_the_same_without_memory(lowered, monkeypatch):
    variant = Variant.of("layout.plain_to_blocked", lanes=16)
    remembered = compile_object(variant, AVX512)
    numba_ir._lowered.clear()
    monkeypatch.setattr(numba_ir, "remembered_types", lambda context: nullcontext())
    assert compile_object(variant, AVX512) == remembered and len(lowered) == 2
