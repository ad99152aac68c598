"""InferenceSession: onnxruntime's shape, errors, files, and what gets imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ArtifactError, InputError, OptionError
from cnnc.runtime import Executable, InferenceSession, SessionOptions
from cnnc.runtime.artifact import save_artifact
from cnnc.runtime.executable import KernelCode
from cnnc.runtime.executor import CACHED_PLANS
from cnnc.runtime.input_check import bind_shapes, gather_inputs
from cnnc.runtime.kernel import Variant
from cnnc.runtime.program import Choice, Port
from cnnc.types import DType
from tests.runtime.copy_program import WEIGHT, copy_add, copy_add_program

pytestmark = pytest.mark.jit
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def session() -> InferenceSession:
    return InferenceSession(copy_add(), threads=2)


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def test_run_in_the_shape_of_onnxruntime(session: InferenceSession) -> None:
    x = floats(5, 3)
    y, echo = session.run(None, {"x": x})
    np.testing.assert_array_equal(y, x + WEIGHT)
    np.testing.assert_array_equal(echo, x)
    echo_again, y_again = session.run(["echo", "y"], {"x": x}, None)
    np.testing.assert_array_equal(y_again, y)
    assert not np.shares_memory(echo_again, x)
    [inp], [out, _] = session.get_inputs(), session.get_outputs()
    assert (inp.name, inp.shape, inp.type) == ("x", ["N", 3], "tensor(float)")
    assert (out.name, out.shape, out.type) == ("y", ["N", 3], "tensor(float)")
    assert session.get_providers() == ["CPUExecutionProvider"]
    meta = session.get_modelmeta()
    assert (meta.producer_name, meta.version, meta.custom_metadata_map) == ("tests", 7, {"note": "a note"})


@pytest.mark.parametrize("rows", [0, 1, 17])
def test_new_shapes_and_zero_rows(session: InferenceSession, rows: int) -> None:
    x = floats(rows, 3)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], x + WEIGHT)


def test_non_contiguous_inputs(session: InferenceSession) -> None:
    x = floats(3, 8)
    np.testing.assert_array_equal(session.run(["y"], {"x": x.T})[0], x.T + WEIGHT)
    np.testing.assert_array_equal(session.run(["y"], {"x": x.T[::-2]})[0], x.T[::-2] + WEIGHT)
    np.testing.assert_array_equal(session.run(["y"], {"x": np.asfortranarray(x.T)})[0], x.T + WEIGHT)


def test_plan_cache_is_bounded(session: InferenceSession) -> None:
    for rows in range(1, 3 * CACHED_PLANS):
        session.run(None, {"x": floats(rows, 3)})
    assert len(session._executor.plans) == CACHED_PLANS


def test_many_threads_on_one_session(session: InferenceSession) -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for rows in (3, 50, 3, 7 + seed):
            x = floats(rows, 3) + np.float32(seed)
            if not np.array_equal(session.run(["y"], {"x": x})[0], x + WEIGHT):
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FEEDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown name": ({"X1": floats(1, 3), "x": floats(1, 3)}, ("no input 'X1'", "the inputs are 'x'")),
    "missing name": ({}, ("no array is fed for input 'x'",)),
    "dtype": ({"x": np.zeros((1, 3))}, ("input 'x'", "expected dtype float32, got float64", "astype('float32')")),
    "big endian": ({"x": np.zeros((1, 3), ">f4")}, ("expected dtype float32, got >f4",)),
    "list": ({"x": [[1, 2, 3]]}, ("expected dtype float32, got int64",)),
    "object": ({"x": None}, ("expected dtype float32, got object",)),
    "rank": ({"x": floats(3)}, ("expected rank 2, shape (N, 3), got rank 1, shape (3,)",)),
    "fixed size": ({"x": floats(2, 4)}, ("expected 3 at axis 1 of shape (N, 3), got shape (2, 4)",)),
}


@pytest.mark.parametrize("name", FEEDS)
def test_bad_feeds(session: InferenceSession, name: str) -> None:
    feeds, fragments = FEEDS[name]
    with pytest.raises(InputError) as caught:
        session.run(None, feeds)
    for fragment in (*fragments, "next step"):
        assert fragment in str(caught.value)


def test_symbols_must_agree_across_inputs() -> None:
    n = symbol("N")
    ports = [Port("images", 0, (n, 2 * n), DType.F32), Port("boxes", 1, (n,), DType.F32)]
    with pytest.raises(InputError, match=r"N is 2 at axis 0 of input 'images' but 3 at axis 0"):
        bind_shapes(ports, [floats(2, 4), floats(3)])
    with pytest.raises(InputError, match=r"input 'images': expected 4 at axis 1 of shape \(N, 2\*N\)"):
        bind_shapes(ports, [floats(2, 5), floats(2)])
    assert bind_shapes(ports, [floats(2, 4), floats(2)]) == {"N": 2}
    with pytest.raises(InputError, match="did you mean 'images'"):
        gather_inputs(ports, {"image": floats(2, 4)})


def test_unknown_output(session: InferenceSession) -> None:
    with pytest.raises(InputError, match=r"no output 'ecko'.*\n.*did you mean 'echo'"):
        session.run(["ecko"], {"x": floats(1, 3)})


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ({"model": "no_such_file.cnnc"}, "no_such_file.cnnc is not a file"),
        ({"model": 17}, "a int is no model"),
        ({"providers": ["CoreMLExecutionProvider"]}, "CoreMLExecutionProvider"),
        ({"threads": -1}, "number of threads is -1"),
        ({"sess_options": 4}, "a int is no SessionOptions"),
    ],
)
def test_bad_options(arguments: dict[str, Any], fragment: str) -> None:
    with pytest.raises(OptionError, match="next step") as caught:
        InferenceSession(**{"model": copy_add(), **arguments})
    assert fragment in str(caught.value)


def test_options_of_onnxruntime_are_accepted() -> None:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    providers = [("CPUExecutionProvider", {}), "CUDAExecutionProvider"]
    x = floats(2, 3)
    [y] = InferenceSession(copy_add(), options, providers).run(["y"], {"x": x})
    np.testing.assert_array_equal(y, x + WEIGHT)


def test_session_options_made_by_onnxruntime() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = InferenceSession(copy_add(), options)
    assert session._settings.threads == 1
    assert session.last_profile == ()


def test_profile_names_steps_and_kernels() -> None:
    session = InferenceSession(copy_add(), profile=True)
    session.run(None, {"x": floats(4, 3)})
    assert [(timing.op, timing.label) for timing in session.last_profile] == [
        ("copy", "copy2"),
        ("add", "a"),
        ("copy", "copy4"),
    ]
    assert session.last_profile[0].kernels == ("copy.strided{size=4}",)


def save(path: Path, **options: Any) -> Path:
    executable = copy_add()
    save_artifact(path, executable.program, executable.constants, metadata=dict(executable.metadata), **options)
    return path


def test_path_and_bytes_of_an_artifact(tmp_path: Path) -> None:
    path = save(tmp_path / "model.cnnc")
    x = floats(4, 3)
    for model in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(InferenceSession(model).run(["y"], {"x": x})[0], x + WEIGHT)


def test_program_that_breaks_a_rule_is_blamed_on_its_file() -> None:
    executable = copy_add()
    program = copy_add_program()
    buffers = list(program.buffers)
    buffers[2] = type(buffers[2])("t", "arena", 4)
    broken = type(program)(program.inputs, program.outputs, tuple(buffers), program.steps)
    session = InferenceSession(Executable(broken, executable.constants, origin="bad.cnnc"))
    with pytest.raises(ArtifactError, match=r"bad.cnnc: the program breaks a rule: step 0 .*bytes 0..24 of 4"):
        session.run(None, {"x": floats(2, 3)})


@pytest.mark.parametrize("value", [3, "x", 0])
def test_kernel_parameters_that_make_no_sense_are_blamed_on_the_file(tmp_path: Path, value: int | str) -> None:
    program = copy_add_program()
    step = program.steps[0]
    call = step.choices[0].calls[0]
    odd = replace(call, variant=Variant.of("copy.strided", size=value))
    broken = replace(program, steps=(replace(step, choices=(Choice((odd,)),)), *program.steps[1:]))
    path = tmp_path / "odd.cnnc"
    save_artifact(path, broken, (WEIGHT,))
    with pytest.raises(ArtifactError, match=r"odd.cnnc: (kernel|the program)"):
        InferenceSession(path).run(None, {"x": floats(2, 3)})


@pytest.mark.skipif(sys.platform != "linux", reason="blobs are mapped on Linux")
def test_embedded_code_runs_only_when_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnnc.runtime.jit import kernel_library
    from cnnc.runtime.jit.target import host_target

    variants = [*copy_add_program().variants(), Variant.of("worker_loop")]
    blobs = [kernel_library.compiled_blob(variant) for variant in variants]
    code = [KernelCode(variant, blob.code, blob.entry) for variant, blob in zip(variants, blobs, strict=True)]
    path = save(tmp_path / "aot.cnnc", code=code, target=host_target())
    asked: list[Variant] = []
    load = kernel_library.load_kernel
    monkeypatch.setattr(
        kernel_library, "load_kernel", lambda variant, target=None: asked.append(variant) or load(variant, target)
    )
    x = floats(4, 3)
    np.testing.assert_array_equal(InferenceSession(path).run(["y"], {"x": x})[0], x + WEIGHT)
    assert variants[0] in asked
    asked.clear()
    session = InferenceSession(path, allow_native_code=True)
    np.testing.assert_array_equal(session.run(["y"], {"x": x})[0], x + WEIGHT)
    assert not asked


def in_new_process(code: str) -> Any:
    """What a script prints as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


HEAVY = "[name for name in ('numba', 'llvmlite', 'onnx', 'networkx', 'cnnc.compiler') if name in sys.modules]"


def test_import_is_light() -> None:
    code = f"import sys, json, cnnc.runtime\nfrom cnnc.runtime import InferenceSession\nprint(json.dumps({HEAVY}))"
    assert in_new_process(code) == []


def test_running_with_cached_kernels_loads_no_compiler(tmp_path: Path) -> None:
    path = save(tmp_path / "model.cnnc")
    InferenceSession(path).run(None, {"x": floats(4, 3)})
    code = f"""
import sys, json
import numpy as np
from cnnc.runtime import InferenceSession
session = InferenceSession({str(path)!r})
y = session.run(["y"], {{"x": np.ones((4, 3), np.float32)}})[0]
print(json.dumps([y.tolist(), {HEAVY}]))
"""
    values, heavy = in_new_process(code)
    assert values == [[2, 3, 4]] * 4
    assert heavy == []


def test_exit_with_busy_workers_is_clean() -> None:
    code = """
import json
import numpy as np
from tests.runtime import numba_kernels as kit
from cnnc.runtime.executor import Executor
executor = Executor(kit.executable(kit.chain(40, 10**7)), kit.resolvers(3))
for _ in range(20):
    executor.run([np.ones(500, np.float32)], {"N": 500})
print(json.dumps("done"))
"""
    assert in_new_process(code) == "done"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_gets_workers_of_its_own() -> None:
    code = """
import json, os, threading
import numpy as np
from dataclasses import replace
from tests.runtime import numba_kernels as kit
from cnnc.runtime.executor import Executor
from cnnc.runtime.pool import process_pool
tables = replace(kit.resolvers(), pool=lambda: process_pool(kit.load_kernel))
executor = Executor(kit.executable(kit.chain(10, 10**7)), tables)
x = np.ones(500, np.float32)
before = executor.run([x], {"N": 500})[0]
parent = process_pool(kit.load_kernel)
with executor.plans._lock, parent._lock:
    child = os.fork()
    if child == 0:
        same = np.array_equal(executor.run([x], {"N": 500})[0], before)
        pool = process_pool(kit.load_kernel)
        fresh = pool is not parent and len(pool._threads) == pool.max_threads - 1
        os._exit(0 if same and fresh else 1)
print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""
    assert in_new_process(code) == 0
