"""Compiled kernels on disk: one file a kernel, named by the hash of everything its code depends on."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import sys
import warnings
from functools import cache
from pathlib import Path

from cnnc.runtime.jit.blob import Blob
from cnnc.runtime.kernel import Target, Variant

ABI_VERSION = 1
"""Raised when the argument block or the calling convention of kernels changes."""

_MAGIC = b"CNNCBLOB"
_HEADER = struct.Struct("<8sIIQ32s")  # magic, ABI version, zero, entry, SHA-256 of the code
_MODULE = re.compile(rb"cnnc\.runtime[\w.]*(?: import [\w, ()]+)?")
"""A pattern that begins with plain text is searched ten times as fast; what stands before it is looked at then."""
_INSTALLED = re.compile(r"(numba|llvmlite)-([^-]+)(?:-.*)?\.(?:dist|egg)-info$")
_LARGEST = 1 << 24
_RUNTIME = Path(__file__).resolve().parents[1]
"""Folder of the package ``cnnc.runtime``."""


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


def cache_key(variant: Variant, module: str, target: Target) -> str:
    """Hex SHA-256 over the variant, the sources of kernel module ``module``, the target, tool versions and the ABI."""
    parts = (repr(variant), repr(target), _tool_versions(), str(ABI_VERSION), source_digest(module))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@cache
def source_digest(module: str) -> str:
    """Hex SHA-256 over the sources of ``module`` and of all that it imports of cnnc.runtime."""
    digest = hashlib.sha256()
    for name in source_modules(module):
        digest.update(_source(name) or b"")
    return digest.hexdigest()


@cache
def source_modules(module: str) -> tuple[str, ...]:
    """``module`` and the modules of cnnc.runtime that it imports, directly or not, sorted."""
    seen: set[str] = set()
    pending = [module, "cnnc.runtime.jit.compile"]
    while pending:
        name = pending.pop()
        source = None if name in seen else _source(name)
        if source is None:
            continue
        seen.add(name)
        if name == "cnnc.runtime.cpu":
            continue  # the table names every kernel; it holds no code
        for found in _MODULE.finditer(source):
            if not source.endswith((b"from ", b"import "), 0, found.start()):
                continue
            parent, _, names = found[0].decode().partition(" import ")
            pending.append(parent)
            pending.extend(f"{parent}.{leaf}" for leaf in re.findall(r"\w+", names))
    return tuple(sorted(seen))


@cache
def _source(module: str) -> bytes | None:
    # Found by path: importlib's find_spec would import the parents, and Numba with them. None: a name, not a module.
    path = os.path.join(_RUNTIME, *module.split(".")[2:])
    for file in (f"{path}.py", os.path.join(path, "__init__.py")):
        try:
            with open(file, "rb") as source:
                return source.read()
        except (FileNotFoundError, NotADirectoryError):
            continue
    return None


@cache
def _tool_versions() -> str:
    # By the names that importlib.metadata reads too, which takes 15 ms to import.
    found = {"numba": "absent", "llvmlite": "absent"}
    for folder in reversed(sys.path):
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            match = _INSTALLED.match(name)
            if match:
                found[match[1]] = match[2]
    return f"{found['numba']} {found['llvmlite']}"


def load(key: str) -> Blob | None:
    """The cached blob, or None: absent, damaged, or of another ABI."""
    data = load_file(f"{key}.blob")
    if data is None:
        return None
    if not _HEADER.size < len(data) < _LARGEST:
        return None
    magic, abi, _, entry, digest = _HEADER.unpack_from(data)
    code = data[_HEADER.size :]
    if magic != _MAGIC or abi != ABI_VERSION or entry >= len(code) or hashlib.sha256(code).digest() != digest:
        return None
    return Blob(code, entry)


def store(key: str, blob: Blob) -> None:
    """Keep ``blob``."""
    header = _HEADER.pack(_MAGIC, ABI_VERSION, 0, blob.entry, hashlib.sha256(blob.code).digest())
    store_file(f"{key}.blob", header + blob.code)


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
