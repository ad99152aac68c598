"""Sessions come and go: memory stays bounded, and what a session needs lives as long as it does."""

from __future__ import annotations

import gc
import itertools
from pathlib import Path

import numpy as np
import pytest

import cnnc
from cnnc.errors import InputError
from cnnc.runtime import InferenceSession

pytestmark = pytest.mark.jit
MODEL = Path(__file__).resolve().parents[2] / "examples" / "models" / "lenet5_fashion.onnx"
STATUS, MAPS = Path("/proc/self/statm"), Path("/proc/self/maps")


def image(batch: int = 2) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, 1, 28, 28)).astype(np.float32)


@pytest.mark.skipif(not STATUS.is_file(), reason="memory is counted through /proc")
def test_fifty_sessions_leave_nothing_behind() -> None:
    executable = cnnc.compile(MODEL).executable
    [name] = (port.name for port in executable.program.inputs)
    x = image(64)

    def use() -> tuple[int, int]:
        InferenceSession(executable).run(None, {name: x})
        gc.collect()
        return int(STATUS.read_text().split()[1]) * 4, len(MAPS.read_text().splitlines())

    # What sessions leave behind adds up in every fifty; what else happens in a process that has run tests does not.
    marks = [[use() for _ in range(count)][-1] for count in (5, 50, 50, 50)]
    kilobytes = min(after[0] - before[0] for before, after in itertools.pairwise(marks))
    maps = min(after[1] - before[1] for before, after in itertools.pairwise(marks))
    assert kilobytes < 10 * x.nbytes // 1024, f"{kilobytes} KiB more after 50 sessions"
    assert maps < 10, "mapped blobs or arenas are kept"


def test_a_session_outlives_its_compiled_model() -> None:
    model = cnnc.compile(MODEL)
    session = InferenceSession(model.executable)
    name = session.get_inputs()[0].name
    [expected] = model.run({name: image()}).values()
    del model
    gc.collect()
    np.testing.assert_array_equal(session.run(None, {name: image()})[0], expected)


@pytest.fixture(scope="module")
def session() -> InferenceSession:
    return InferenceSession(cnnc.compile(MODEL).executable)


def unaligned(x: np.ndarray) -> np.ndarray:
    data = bytearray(x.nbytes + 1)
    data[1:] = x.tobytes()
    return np.frombuffer(data, x.dtype, offset=1).reshape(x.shape)


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "view",
    [
        lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=3)[..., ::2],
        unaligned,
        read_only,
    ],
    ids=["reversed columns", "reversed images", "Fortran order", "every other column", "unaligned", "read-only"],
)
def test_any_view_is_fed(session: InferenceSession, view: object) -> None:
    name, x = session.get_inputs()[0].name, image(3)
    assert callable(view)
    fed = view(x)
    np.testing.assert_array_equal(session.run(None, {name: fed})[0], session.run(None, {name: x})[0])
    np.testing.assert_array_equal(fed, x)


@pytest.mark.parametrize("dtype", [">f4", "float16", "float64", "int8"])
def test_other_element_types_are_refused(session: InferenceSession, dtype: str) -> None:
    name = session.get_inputs()[0].name
    with pytest.raises(InputError, match=r"expected dtype float32.*") as caught:
        session.run(None, {name: image().astype(dtype)})
    assert "astype('float32')" in str(caught.value)
