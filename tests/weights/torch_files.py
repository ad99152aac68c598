"""Files as ``torch.save`` writes them, made byte by byte: right ones, and ones that PyTorch would never write."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage", "bool": "BoolStorage"}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@dataclass(frozen=True)
class Raw:
    """Opcodes to be put into the pickle as they are."""

    code: bytes


@dataclass(frozen=True)
class Global:
    """The name of a function or class."""

    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """A call of a function with arguments."""

    function: Global
    arguments: tuple[object, ...]


@dataclass(frozen=True)
class PersistentId:
    """A reference to an object outside of the pickle."""

    identity: object


ORDERED_DICT = Call(Global("collections", "OrderedDict"), ())
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def storage(key: str, count: object, kind: str = "FloatStorage", *views: object) -> PersistentId:
    return PersistentId(("storage", Global("torch", kind), key, "cpu", count, *views))


def tensor(
    key: str, count: object, shape: object, strides: object, *, offset: object = 0, kind: str = "FloatStorage"
) -> Call:
    """A tensor in storage ``key`` of ``count`` elements; offset and strides in elements."""
    return Call(REBUILD, (storage(key, count, kind), offset, shape, strides, False, ORDERED_DICT))


def pickled(value: object) -> bytes:
    """A pickle of protocol 2 without memo."""
    return b"\x80\x02" + _code(value) + b"."


def _code(value: object) -> bytes:
    match value:
        case Raw():
            return value.code
        case Global():
            return b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n"
        case Call():
            return _code(value.function) + _code(value.arguments) + b"R"
        case PersistentId():
            return _code(value.identity) + b"Q"
        case None | True | False:
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        case int():
            size = value.bit_length() // 8 + 1
            return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            text = value.encode()
            return b"X" + struct.pack("<I", len(text)) + text
        case tuple():
            return b"(" + b"".join(map(_code, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_code, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_code(key) + _code(item) for key, item in value.items()) + b"u"
    raise TypeError(type(value))


def torch_zip(
    path: Path,
    pickle: bytes,
    storages: Mapping[str, bytes],
    *,
    byte_order: bytes | None = b"little",
    method: int = zipfile.ZIP_STORED,
    others: Iterable[str] = (),
) -> Path:
    """The container since PyTorch 1.6, around a pickle and the bytes of its storages."""
    records = {"data.pkl": pickle, ".format_version": b"1", ".storage_alignment": b"64"}
    if byte_order is not None:
        records["byteorder"] = byte_order
    records |= {f"data/{key}": content for key, content in storages.items()}
    records |= {"version": b"3\n", **dict.fromkeys(others, b"")}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in records.items():
            archive.writestr(f"archive/{name}", content)
    return path


def torch_legacy(path: Path, pickle: bytes, storages: Mapping[str, np.ndarray], *, keys: object = None) -> Path:
    """The container before PyTorch 1.6."""
    keys = list(storages) if keys is None else keys
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    data = MAGIC + pickled(1001) + pickled(system) + pickle + pickled(keys)
    for array in storages.values():
        data += struct.pack("<Q", array.size) + array.tobytes()
    path.write_bytes(data)
    return path


def state_dict(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Call], dict[str, np.ndarray]]:
    """What is pickled for a table of arrays, each in a storage of its own, and the storages."""
    storages = {str(index): np.ascontiguousarray(array).reshape(-1) for index, array in enumerate(arrays.values())}
    table = {
        name: tensor(
            key,
            array.size,
            array.shape,
            tuple(step // array.itemsize for step in np.ascontiguousarray(array).reshape(array.shape).strides),
            kind=STORAGES[array.dtype.name],
        )
        for (name, array), key in zip(arrays.items(), storages)
    }
    return table, storages


def save_state_dict(path: Path, arrays: Mapping[str, np.ndarray], *, legacy: bool = False) -> Path:
    """A right file of the arrays."""
    table, storages = state_dict(arrays)
    if legacy:
        return torch_legacy(path, pickled(table), storages)
    return torch_zip(path, pickled(table), {key: array.tobytes() for key, array in storages.items()})
