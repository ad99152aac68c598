"""Zip archives whose directories lie, and files of other formats: each one clear error."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.weights import archive, read_weights
from tests.weights.torch_files import pickled, save_state_dict, tensor, torch_zip

CODE = pickled({"w": tensor("0", 6, (6,), (1,))})
ELEMENTS = np.arange(6, dtype="<f4").tobytes()
CENTRAL = struct.Struct("<4s6H3L5H2L")
"""Signature, versions, flags, method, time, date, CRC-32, sizes, lengths, disk, attributes, offset of the header."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return torch_zip(tmp_path / "w.pth", CODE, {"0": ELEMENTS})


def change_directory(path: Path, entry: str, **changes: int) -> None:
    """Overwrite fields of an entry in the archive's directory."""
    fields = {"flags": 3, "method": 4, "stored": 8, "size": 9, "offset": 16}
    data = bytearray(path.read_bytes())
    position = data.index(b"PK\x01\x02")
    while not data[position + CENTRAL.size :].startswith(entry.encode()):
        position = data.index(b"PK\x01\x02", position + 4)
    row = list(CENTRAL.unpack_from(data, position))
    for field, value in changes.items():
        row[fields[field]] = value
    CENTRAL.pack_into(data, position, *row)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"flags": 1}, "entry 'archive/data/0': it is encrypted"),
        ({"method": 12}, "compressed by method 12; 0 .stored. and 8 .deflate. are read"),
        ({"method": 8}, "'w': its entry 'data/0' is compressed"),
        ({"offset": 3}, "no header at byte 3"),
        ({"offset": 1 << 31}, "no header at byte 2147483648"),
        ({"size": 1 << 30}, "has 1073741824 bytes where 24 are stored"),
        ({"stored": 1 << 30, "size": 1 << 30}, "but the file ends at"),
        ({"stored": 200, "size": 200}, "overlaps another one"),
        ({"stored": 20, "size": 20}, "'w': its storage '0' needs 24 bytes, the archive has 20"),
        ({"offset": 0, "stored": 4, "size": 4}, "overlaps another one"),
    ],
)
def test_directories_that_lie(path: Path, changes: dict[str, int], fragment: str) -> None:
    change_directory(path, "archive/data/0", **changes)
    with pytest.raises((ModelError, UnsupportedError), match=rf"w\.pth: .*{fragment}(.|\n)*next step"):
        read_weights(path)


def test_truncated_archives(path: Path) -> None:
    data = path.read_bytes()
    for cut in (10, 100, len(data) // 2, len(data) - 30, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ModelError, match=r"w\.pth: the zip archive cannot be read(.|\n)*download"):
            read_weights(path)


def test_two_entries_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as made, pytest.warns(UserWarning, match="Duplicate"):
        made.writestr("archive/data.pkl", CODE)
        made.writestr("archive/data.pkl", CODE)
    with pytest.raises(ModelError, match="two entries named 'archive/data"):
        read_weights(path)


def test_an_entry_without_a_name(tmp_path: Path) -> None:
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *[0] * 10)
    central = CENTRAL.pack(b"PK\x01\x02", *[0] * 16)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local), 0)
    (tmp_path / "w.npz").write_bytes(local + central + end)
    with pytest.raises(ModelError, match=r"w\.npz: this zip archive holds ''"):
        read_weights(tmp_path / "w.npz")


def test_two_pickles(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", CODE)
        made.writestr("b/data.pkl", CODE)
    with pytest.raises(ModelError, match=r"2 entries are named data\.pkl; expected one"):
        read_weights(path)


def test_compressed_storages_are_refused(tmp_path: Path) -> None:
    """What torch.save never writes, and what makes bombs."""
    path = torch_zip(tmp_path / "w.pth", CODE, {"0": bytes(1 << 20)}, byte_order=None, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsupportedError, match=r"data\.pkl' is compressed(.|\n)*without compression"):
        read_weights(path)


def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "w.pth", CODE, {"1": ELEMENTS})
    with pytest.raises(ModelError, match=r"tensor 'w': the archive has no entry 'data/0'"):
        read_weights(path)


def test_an_unknown_byte_order(tmp_path: Path) -> None:
    path = torch_zip(tmp_path / "w.pth", CODE, {"0": ELEMENTS}, byte_order=b"middle")
    with pytest.raises(ModelError, match=r"byte order is b'middle'; expected 'little' or 'big'"):
        read_weights(path)


def test_a_directory_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(ModelError, match="directory has more than 100 bytes"):
        read_weights(path)


def test_archives_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "w.keras"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"holds 'config\.json'; expected \.npy files"):
        read_weights(path)


@pytest.mark.parametrize(
    ("start", "fragment"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x93NUMPY\x01\x00", r"single \.npy array(.|\n)*numpy\.savez"),
        (b"\x93CNNC\r\n\x1a", "compiled artifact"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"GGUF\x03\x00\x00\x00", "GGUF"),
        (b"<!DOCTYPE html>", "HTML"),
        (b'{"weight_map": {}}', "JSON"),
        (b"storages".ljust(257, b"\0") + b"ustar\0", r"tar archive, as PyTorch wrote them before 0\.2"),
        (b"\x08\x01\x12\x04onnx", "these are no weights: the file begins with"),
        (b"x", "these are no weights"),
    ],
)
def test_other_formats_are_called_by_name(tmp_path: Path, start: bytes, fragment: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(start)
    with pytest.raises((ModelError, UnsupportedError), match=rf"w\.pth: (.|\n)*{fragment}(.|\n)*next step"):
        read_weights(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(ModelError, match="this is not a file"):
        read_weights(tmp_path)
    with pytest.raises(ModelError, match="cannot be read: File name too long"):
        read_weights(tmp_path / ("w" * 1000))
    (tmp_path / "w.pth").touch()
    with pytest.raises(ModelError, match="the file is empty"):
        read_weights(tmp_path / "w.pth")


def test_the_suffix_does_not_matter(tmp_path: Path) -> None:
    path = save_state_dict(tmp_path / "w.npz", {"w": np.arange(3, dtype=np.float32)})
    assert read_weights(path)["w"].tolist() == [0, 1, 2]


def test_entries_are_for_checkpoints(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", w=np.zeros(3))
    with pytest.raises(OptionError, match=r"entry 'model' was asked for(.|\n)*leave entry out"):
        read_weights(tmp_path / "w.npz", entry="model")
