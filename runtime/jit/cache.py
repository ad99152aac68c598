"""Compiled kernels on disk: one file a kernel, named by its key, in a folder that only the user can write."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import warnings
from functools import cache
from pathlib import Path

from cnnc.runtime.jit.blob import Blob

ABI_VERSION = 1
"""Raised when the argument block or the calling convention of kernels changes."""

_BLOB = b"CNNCBLOB"
_HEADER = struct.Struct("<8sIIQ32s")  # kind, ABI version, zero, number, SHA-256 of the data
_LARGEST = 1 << 24


def cache_folder() -> Path | None:
    """``$CNNC_CACHE_DIR`` or ``~/.cache/cnnc``, created for this user alone; None with a warning where it is unsafe."""
    return _checked_folder(os.environ.get("CNNC_CACHE_DIR") or os.path.expanduser("~/.cache/cnnc"))


@cache
def _checked_folder(text: str) -> Path | None:
    folder = Path(text)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        _warn_without_cache(f"{folder} cannot be created ({error.strerror})")
        return None
    if os.name == "posix" and (facts.st_uid != os.getuid() or stat.S_IMODE(facts.st_mode) & 0o022):
        _warn_without_cache(f"{folder} can be written by other users")
        return None
    return folder


def _warn_without_cache(reason: str) -> None:
    warnings.warn(
        f"compiled kernels are not kept on disk: {reason}; set CNNC_CACHE_DIR to a folder of your own with mode 0700",
        RuntimeWarning,
        stacklevel=5,
    )


def load(key: str) -> Blob | None:
    """The cached blob, or None: absent, damaged, or of another ABI."""
    found = load_record(f"{key}.blob", _BLOB)
    if found is None or found[0] >= len(found[1]):
        return None
    return Blob(found[1], found[0])


def store(key: str, blob: Blob) -> None:
    """Keep ``blob``."""
    store_record(f"{key}.blob", _BLOB, blob.entry, blob.code)


def load_record(name: str, kind: bytes) -> tuple[int, bytes] | None:
    """Number and data of a file that ``store_record`` wrote, or None: absent, damaged, or of another kind or ABI."""
    content = load_file(name)
    if content is None:
        return None
    if not _HEADER.size < len(content) < _LARGEST:
        return None
    found, abi, _, number, digest = _HEADER.unpack_from(content)
    data = content[_HEADER.size :]
    if found != kind or abi != ABI_VERSION or hashlib.sha256(data).digest() != digest:
        return None
    return number, data


def store_record(name: str, kind: bytes, number: int, data: bytes) -> None:
    """Keep a number and data, with what it takes to notice damage. ``kind`` has 8 bytes."""
    store_file(name, _HEADER.pack(kind, ABI_VERSION, 0, number, hashlib.sha256(data).digest()) + data)


def load_file(name: str) -> bytes | None:
    """Content of a file of the cache folder, or None: absent, or there is no usable folder."""
    folder = cache_folder()
    try:
        return None if folder is None else (folder / name).read_bytes()
    except OSError:
        return None


def remove_file(name: str) -> None:
    """Remove a file of the cache folder, if it is there."""
    folder = cache_folder()
    if folder is not None:
        (folder / name).unlink(missing_ok=True)


def store_file(name: str, data: bytes) -> None:
    """Keep a file; readers see the whole file or none. A full disk costs the cache entry, nothing else."""
    import tempfile

    folder = cache_folder()
    if folder is None:
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".blob-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, folder / name)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(f"{name} not kept in {folder}: {error.strerror}", RuntimeWarning, stacklevel=3)
