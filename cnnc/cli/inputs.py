"""Arrays for a model's inputs, from ``--input NAME=FILE``: .npy, .npz, .pb tensors and images."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.cli.images import ImageSettings, image_array, is_image
from cnnc.errors import InputError, OptionError
from cnnc.runtime.input_check import bind_shapes, gather_inputs
from cnnc.runtime.program import Port
from cnnc.types import TensorType

Array = np.ndarray[Any, Any]

_NPY, _ZIP = b"\x93NUMPY", b"PK"


def read_feeds(texts: Sequence[str], ports: Sequence[Port], settings: ImageSettings) -> dict[str, Array]:
    """Arrays by input name.

    Args:
        texts: ``NAME=FILE``, or ``FILE`` alone where the model has one input or the file is an ``.npz`` with names.
            Files given for the same name are joined along axis 0.
        ports: the model's inputs: images take their size and channels from them.

    Raises:
        InputError: a file is missing or holds no array, or a name is not an input's.
        OptionError: a text cannot be understood.
    """
    pieces: dict[str, list[Array]] = {}
    known = {port.name: port for port in ports}
    for text in texts:
        name, path = _split(text, known)
        data = _read_start(path)
        if not name and data.startswith(_ZIP):
            for key, array in read_archive(path).items():
                pieces.setdefault(key, []).append(array)
            continue
        if not name:
            if len(ports) != 1:
                names = ", ".join(map(repr, known))
                raise OptionError(
                    f"{text!r} does not say which input it is for", where="--input", hint=f"write NAME=FILE; {names}"
                )
            name = ports[0].name
        if name not in known:
            # The usual check words the message, with the closest names.
            gather_inputs(ports, {name: np.zeros(0)})
        pieces.setdefault(name, []).append(_array(name, path, data, known[name], settings))
    return {name: _joined(name, arrays) for name, arrays in pieces.items()}


def fill_randomly(
    feeds: Mapping[str, Array], ports: Sequence[Port], seed: int, batch: int | None = None
) -> dict[str, Array]:
    """``feeds``, and a seeded random array for every other input; open sizes follow what is fed, then ``batch``."""
    from cnnc.sample_inputs import BATCH_SIZE, sample_arrays

    given = [port for port in ports if port.name in feeds]
    sizes = bind_shapes(given, gather_inputs(given, {port.name: feeds[port.name] for port in given}))
    types = {port.name: TensorType(port.shape, port.dtype) for port in ports}
    return {**sample_arrays(types, seed, sizes, batch or BATCH_SIZE), **feeds}


def _split(text: str, known: Mapping[str, Port]) -> tuple[str, Path]:
    """(input name or "", path). Input names may hold '=' and paths too: a file of that name wins."""
    for name in known:
        if text.startswith(f"{name}="):
            return name, Path(text[len(name) + 1 :])
    if Path(text).exists() or "=" not in text:
        return "", Path(text)
    name, _, path = text.partition("=")
    return name, Path(path)


def _read_start(path: Path) -> bytes:
    where = str(path)
    if not path.is_file():
        what = "this is not a file" if path.exists() else "there is no such file"
        raise InputError(what, where=where, hint="give an .npy, .npz, .pb or image file")
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=where, hint="check it") from error


def _array(name: str, path: Path, start: bytes, port: Port, settings: ImageSettings) -> Array:
    if start.startswith(_NPY):
        return _plain(path)
    if start.startswith(_ZIP):
        arrays = read_archive(path)
        if name in arrays:
            return arrays[name]
        if len(arrays) == 1:
            return next(iter(arrays.values()))
        raise InputError(
            f"the archive holds {', '.join(map(repr, arrays)) or 'nothing'}, not {name!r}",
            where=str(path),
            hint=f"name one of its arrays {name!r}",
        )
    if is_image(start):
        return image_array(path, port, settings)
    if path.suffix == ".pb":
        return _tensor(path)
    raise InputError(
        "the file is none of .npy, .npz, .pb, PNG or JPEG", where=str(path), hint="save it with numpy.save, for example"
    )


def _plain(path: Path) -> Array:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the .npy file cannot be read: {error}", where=str(path), hint="save it anew") from error


def read_archive(path: Path) -> dict[str, Array]:
    """Arrays of an .npz file by name.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"the .npz file cannot be read: {error}", where=str(path), hint="save it anew") from error


def _tensor(path: Path) -> Array:
    import onnx
    from google.protobuf.message import DecodeError

    from cnnc.frontends.onnx.tensors import tensor_to_array

    try:
        tensor = onnx.TensorProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise InputError("the file is no ONNX TensorProto", where=str(path), hint="save it anew") from error
    if not tensor.data_type:
        raise InputError("the file is no ONNX TensorProto", where=str(path), hint="save it anew")
    return tensor_to_array(tensor, path.parent)


def _joined(name: str, arrays: list[Array]) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    first = arrays[0]
    for other in arrays[1:]:
        if other.dtype != first.dtype or other.ndim == 0 or other.shape[1:] != first.shape[1:]:
            raise InputError(
                f"shapes {first.shape} and {other.shape} of {first.dtype} and {other.dtype} do not join along axis 0",
                where=f"input {name!r}",
                hint="give files of one size, or --size for images",
            )
    return np.concatenate(arrays)
