"""Writes ``.cnnc`` files: all at once under a temporary name, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cnnc.errors import InternalError, UnsupportedError
from cnnc.runtime import artifact_format as form
from cnnc.runtime.aligned_memory import bytes_of
from cnnc.runtime.cpu_limits import available_threads
from cnnc.runtime.executable import Executable, KernelCode
from cnnc.runtime.jit.cache import ABI_VERSION
from cnnc.runtime.kernel import Target
from cnnc.runtime.kernel_table import kernel_table
from cnnc.runtime.portable import Portable
from cnnc.runtime.program import Program
from cnnc.runtime.program_json import program_to_json, variant_to_json
from cnnc.runtime.program_reader import program_from_json
from cnnc.runtime.zero_words import pack_zeros
from cnnc.types import DType

_LARGEST_SHARES = {"constant": 0.5, "weight": 0.9}
"""Of the bytes, that may be left where zeros are left out. Constants must lose half: expanding them takes time whenever
a session starts, and mapping what is stored as it is takes none. Weights are read where a file is compiled for another
CPU."""


@dataclass(frozen=True)
class _Section:
    """A section to be written: its table entry without offset and size, and its bytes."""

    entry: Mapping[str, Any]
    data: memoryview


def save_artifact(
    path: str | os.PathLike[str],
    program: Program,
    constants: Sequence[np.ndarray[Any, Any]],
    *,
    target: Target | None = None,
    portable: Portable | None = None,
    metadata: Mapping[str, str] | None = None,
    code: Sequence[KernelCode] = (),
) -> None:
    """Write an artifact; readers of ``path`` see the old file or the whole new one.

    Args:
        constants: one array per constant of the program; stored as bytes, without zeros where these are many.
        target: the CPU that constants are packed for; None means that any CPU will do.
        portable: graph and plain weights, for CPUs other than the target.
        metadata: texts for ``get_modelmeta``.
        code: kernels compiled for ``target``; a file that holds all of them needs no compiler to run.

    Raises:
        UnsupportedError: the program is larger than the format allows.
        OSError: the file cannot be written.
    """
    described = program_to_json(program)
    if program_from_json(described, "program") != program:
        raise InternalError("a program does not survive being written and read")
    with ThreadPoolExecutor(available_threads()) as threads:
        sections = list(threads.map(_stored, _sections(constants, portable, code)))
    table, offset = [], 0
    for section in sections:
        table.append({**section.entry, "offset": offset, "bytes": section.data.nbytes})
        offset = form.padded(offset + section.data.nbytes)
    header = {
        "program": described,
        "target": None if target is None else [target.cpu, target.features, target.vector_bytes],
        "kernel_abi": ABI_VERSION,
        "kernels": _arguments(program, target),
        "metadata": sorted((metadata or {}).items()),
        "sections": table,
    }
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > form.MAX_HEADER_BYTES or len(table) > form.MAX_SECTIONS:
        raise UnsupportedError(
            f"the program takes a header of {len(text)} bytes and {len(table)} sections; "
            f"{form.MAX_HEADER_BYTES} and {form.MAX_SECTIONS} are allowed",
            where=str(path),
        )
    _replace_file(Path(path), text, sections)


def save_executable(path: str | os.PathLike[str], executable: Executable, *, portable: Portable | None = None) -> None:
    """Write an executable, its code included."""
    save_artifact(
        path,
        executable.program,
        executable.constants,
        target=executable.target,
        portable=portable,
        metadata=dict(executable.metadata),
        code=executable.code,
    )


def _sections(
    constants: Sequence[np.ndarray[Any, Any]], portable: Portable | None, code: Sequence[KernelCode]
) -> Iterator[_Section]:
    for index, constant in enumerate(constants):
        yield _Section({"kind": "constant", "name": str(index)}, _memory(constant))
    for kernel in code:
        entry = {"kind": "code", "name": str(kernel.variant), "variant": variant_to_json(kernel.variant)}
        yield _Section({**entry, "entry": kernel.entry}, memoryview(kernel.blob))
    if portable is None:
        return
    yield _Section({"kind": "graph", "name": "graph"}, memoryview(portable.graph))
    for name, weight in portable.weights:
        facts = {"dtype": DType.of(weight.dtype).value, "shape": list(weight.shape)}
        yield _Section({"kind": "weight", "name": name, **facts}, _memory(weight))


def _stored(section: _Section) -> _Section:
    """The section as it is to lie in the file, without zeros where that saves enough, and with its hash."""
    entry, data = section.entry, section.data
    share = _LARGEST_SHARES.get(entry["kind"])
    packed = None if share is None else pack_zeros(np.frombuffer(data, np.uint8), share)
    if packed is not None:
        form, stored = packed
        entry = {**entry, "word": form.word, "signs": form.has_signs, "content_bytes": data.nbytes}
        data = stored.data
    return _Section({**entry, "sha256": hashlib.sha256(data).hexdigest()}, data)


def _arguments(program: Program, target: Target | None) -> dict[str, list[str]]:
    """The names of each kernel's arguments, by which a reader knows kernels that have others by then."""
    kernel_def = kernel_table(target)
    return {variant.kernel: list(kernel_def(variant.kernel).args) for variant in program.variants()}


def _memory(array: np.ndarray[Any, Any]) -> memoryview:
    return bytes_of(np.ascontiguousarray(array)).data


def _replace_file(path: Path, header: bytes, sections: Sequence[_Section]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            _write(file, header, sections)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, header: bytes, sections: Sequence[_Section]) -> None:
    digest = hashlib.sha256(header).digest()
    version = 2 if any("word" in section.entry for section in sections) else 1
    prefix = form.PREFIX.pack(form.MAGIC, version, 0, len(header), digest)
    file.write(prefix.ljust(form.HEADER_START, b"\0"))
    file.write(header.ljust(form.padded(len(header)), b"\0"))
    for section in sections:
        file.write(section.data)
        file.write(b"\0" * (form.padded(section.data.nbytes) - section.data.nbytes))
