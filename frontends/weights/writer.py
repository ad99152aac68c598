"""``write_weights``: arrays by name into a .npz or safetensors file, which appears whole or not at all."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from cnnc.errors import ModelError, OptionError, UnsupportedError
from cnnc.frontends.weights.element_types import by_dtype
from cnnc.frontends.weights.safetensors import METADATA, lay_out
from cnnc.frontends.weights.weights import MAX_NAME
from cnnc.ir.fact import Array

_NPZ, _SAFETENSORS = ".npz", ".safetensors"


def write_weights(path: str | os.PathLike[str], weights: Mapping[str, Array]) -> None:
    """Write arrays by name; the format follows the suffix, .npz (uncompressed) or .safetensors.

    A file that is there is replaced in one step, when the new one is complete on the disk.

    Raises:
        OptionError: another suffix.
        ModelError: a name that is none.
        UnsupportedError: an element type that the format does not have.
    """
    path = Path(path)
    where = str(path)
    if path.suffix not in (_NPZ, _SAFETENSORS):
        what = f"the suffix {path.suffix!r} names no format of weights; expected {_NPZ} or {_SAFETENSORS}"
        raise OptionError(what, where=where, hint=f"write {path.stem}{_SAFETENSORS}, for example")
    for name, array in weights.items():
        _check(name, np.asarray(array).dtype, path.suffix, where)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            (_write_npz if path.suffix == _NPZ else _write_safetensors)(file, weights)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        hint = "check the folder, its rights and the space that is left"
        raise ModelError(f"the file cannot be written: {error.strerror}", where=where, hint=hint) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check(name: str, dtype: np.dtype[np.generic], suffix: str, where: str) -> None:
    where = f"{where}: tensor {name!r:.80}"
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or (suffix == _SAFETENSORS and name == METADATA):
        what = f"this is no name for a tensor: expected 1 to {MAX_NAME} printable characters, and not {METADATA}"
        raise ModelError(what, where=where, hint="give it another name")
    native = dtype.newbyteorder("=")
    if native not in by_dtype():
        what = f"elements of type {dtype} are no numbers that weights have"
        raise UnsupportedError(what, where=where, hint="convert it to float32, for example")
    if suffix == _NPZ and native.kind == "V":
        what = f"NumPy's format cannot say {dtype.name}"
        raise UnsupportedError(what, where=where, hint=f"write {_SAFETENSORS}, or convert it to float32")


def _write_npz(file: BinaryIO, weights: Mapping[str, Array]) -> None:
    # numpy.savez takes names as keyword arguments, of which "file" is one of its own.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in weights.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                npy.write_array(entry, np.asarray(array), allow_pickle=False)


def _write_safetensors(file: BinaryIO, weights: Mapping[str, Array]) -> None:
    arrays = {name: np.asarray(array) for name, array in weights.items()}
    native = [(name, array.dtype.newbyteorder("="), array.shape) for name, array in arrays.items()]
    header, order = lay_out(native)
    file.write(header)
    for name in order:
        array = arrays[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        file.write(little.reshape(-1).view(np.uint8).data)
