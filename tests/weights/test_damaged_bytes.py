"""Changed and missing bytes in files of every format end in arrays or in a UserError, never in anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.errors import UserError
from cnnc.frontends.weights import read_weights, write_weights
from tests.weights.torch_files import save_state_dict

FILES = Path(__file__).parent / "files"
NUMBERS = st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF])


def original(folder: Path, kind: str) -> bytes:
    arrays = {"conv.weight": np.arange(8, dtype=np.float32).reshape(2, 4), "n": np.array(7), "mask": np.array([True])}
    match kind:
        case "npz":
            write_weights(folder / "w.npz", arrays)
        case "compressed npz":
            np.savez_compressed(folder / "w.npz", **arrays)
        case "safetensors":
            write_weights(folder / "w.safetensors", arrays)
            return (folder / "w.safetensors").read_bytes()
        case "torch":
            return save_state_dict(folder / "w.pth", arrays).read_bytes()
        case "torch before 1.6":
            return save_state_dict(folder / "w.pth", arrays, legacy=True).read_bytes()
        case _:
            return (FILES / kind).read_bytes()
    return (folder / "w.npz").read_bytes()


def read_all(path: Path) -> None:
    """Every element of the file, or a UserError that names it."""
    try:
        for array in read_weights(path).values():
            array.tobytes()
    except UserError as error:
        assert path.name in str(error)
        assert "next step" in str(error)


KINDS = ["npz", "compressed npz", "safetensors", "torch", "torch before 1.6", "unusual.pth", "unusual_before_1_6.pth"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(original(tmp_path, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(NUMBERS | st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(content)
    read_all(tmp_path / "damaged")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_missing_and_added_bytes(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = original(tmp_path, kind)
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, len(content)) | st.just(len(content)))
    (tmp_path / "damaged").write_bytes(content[:start] + data.draw(st.binary(max_size=16)) + content[end:])
    read_all(tmp_path / "damaged")
