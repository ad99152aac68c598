"""Reads ``.cnnc`` files and trusts nothing in them.

The header is read into memory once and checked there: what is checked is what is used, whatever happens to the file
afterwards. Sizes and offsets are compared with the file's real size before anything is allocated. What the steps of
the program may touch is proven by the plan checker when the first plan is made.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnc.errors import ArtifactError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime import artifact_format as form
from cnnc.runtime.aligned_memory import Bytes, aligned_bytes
from cnnc.runtime.artifact_sections import DAMAGED, Section, sections_from_json
from cnnc.runtime.cuda.target import cuda_target, is_architecture
from cnnc.runtime.executable import Executable, KernelCode
from cnnc.runtime.jit.cache import ABI_VERSION
from cnnc.runtime.kernel import Target
from cnnc.runtime.kernel_table import has_kernel, kernel_table
from cnnc.runtime.portable import Portable
from cnnc.runtime.program import HostStep, Program
from cnnc.runtime.program_reader import program_from_json

Source = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Artifact:
    """A checked artifact: its header's facts, and its bytes.

    Attributes:
        target: (cpu, features, vector bytes) that constants and code are for; None for any.
    """

    origin: str
    program: Program
    sections: tuple[Section, ...]
    metadata: tuple[tuple[str, str], ...]
    target: tuple[str, str, int] | None
    kernel_abi: int
    _data: Bytes

    def content_of(self, section: Section) -> Bytes:
        """The content of a section, read-only: mapped where it lies, or expanded where its zeros are left out.

        Raises:
            ArtifactError: the section does not expand to its content.
        """
        content = self._stored(section)
        if section.form is not None:
            from cnnc.runtime.zero_words import unpack_zeros

            try:
                content = unpack_zeros(content, section.form, section.content_bytes)
            except ValueError as error:
                what = f"section {section.name!r:.80} ({section.kind}): {error}"
                raise ArtifactError(what, where=self.origin, hint=DAMAGED) from error
        content.flags.writeable = False
        return content

    def _stored(self, section: Section) -> Bytes:
        return self._data[section.start : section.start + section.bytes]

    def check_hash(self, section: Section) -> None:
        """Compare a section with its hash.

        Raises:
            ArtifactError: they differ.
        """
        if hashlib.sha256(self._stored(section).data).hexdigest() != section.sha256:
            raise ArtifactError(
                f"section {section.name!r:.80} ({section.kind}) does not match its hash",
                where=self.origin,
                hint=DAMAGED,
            )

    def portable(self) -> Portable | None:
        """The portable part, hashes checked; None if the file has none."""
        graphs = [section for section in self.sections if section.kind == "graph"]
        if not graphs:
            return None
        weights = []
        for section in self.sections:
            if section.kind in ("graph", "weight"):
                self.check_hash(section)
            if section.kind == "weight" and section.dtype is not None:
                weights.append(
                    (section.name, self.content_of(section).view(section.dtype.numpy).reshape(section.shape))
                )
        return Portable(self.content_of(graphs[0]).tobytes(), tuple(weights))

    def executable(self, *, allow_native_code: bool = False, check_weights: bool = False) -> Executable:
        """What a session runs, for this machine. See ``load_artifact``."""
        from cnnc.runtime.artifact_target import usable_target

        target = usable_target(self)
        constants = [section for section in self.sections if section.kind == "constant"]
        if check_weights:
            for section in constants:
                self.check_hash(section)
        code = tuple(self._code()) if allow_native_code else ()
        arrays = tuple(self.content_of(section) for section in constants)
        return Executable(self.program, arrays, self.metadata, self.origin, target, code)

    def _code(self) -> Iterator[KernelCode]:
        for section in self.sections:
            if section.variant is None:
                continue
            if self.kernel_abi != ABI_VERSION:
                raise ArtifactError(
                    f"its machine code is for kernel interface {self.kernel_abi}, this runtime has {ABI_VERSION}",
                    where=self.origin,
                    hint="load it without allow_native_code, or compile the model again",
                )
            self.check_hash(section)
            yield KernelCode(section.variant, self.content_of(section).tobytes(), section.entry)


def load_artifact(
    source: Source, *, trusted: bool = True, allow_native_code: bool = False, check_weights: bool = False
) -> Executable:
    """Read an executable from a ``.cnnc`` file or its bytes.

    Args:
        trusted: map the weights of a file into memory. A mapped file that is truncated later kills the process, so
            pass False for files that somebody else may change: then the file is read.
        allow_native_code: use the machine code that the file holds. It is checked against its hash, but it can do
            whatever the process can do: only for files you trust.
        check_weights: compare packed weights with their hashes too.

    Raises:
        ArtifactError: the file is damaged, of a newer version, for another CPU, or no artifact at all.
    """
    artifact = open_artifact(source, trusted=trusted)
    return artifact.executable(allow_native_code=allow_native_code, check_weights=check_weights)


def open_artifact(source: Source, *, trusted: bool = True) -> Artifact:
    """Read and check everything but the content of sections.

    Raises:
        ArtifactError: see ``load_artifact``.
    """
    if isinstance(source, bytes):
        return _Reader("bytes", np.frombuffer(source, np.uint8)).artifact()
    path = Path(source)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < form.HEADER_START:
                raise ArtifactError(f"a file of {size} bytes is no artifact", where=str(path), hint=DAMAGED)
            if trusted:
                data = np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ), np.uint8)
            else:
                data = aligned_bytes(size)
                if file.readinto(data.data) != size:
                    raise ArtifactError("the file shrank while it was read", where=str(path), hint=DAMAGED)
    except OSError as error:
        raise ArtifactError(f"the file cannot be read: {error.strerror}", where=str(path), hint="check it") from error
    return _Reader(str(path), data).artifact()


class _Reader:
    def __init__(self, where: str, data: Bytes) -> None:
        self._where = where
        self._data = data

    def artifact(self) -> Artifact:
        header, start = self._header()
        sections = sections_from_json(header.get("sections"), start, self._data.size, self._where)
        program = program_from_json(header.get("program"), self._where)
        target = self._target(header.get("target"))
        gpu = cuda_target(target[0]) if target is not None and is_architecture(target[0]) else None
        self._check_names(program, gpu)
        self._check_arguments(program, header.get("kernels"), gpu)
        self._check_constants(program, sections)
        return Artifact(
            origin=self._where,
            program=program,
            sections=sections,
            metadata=self._metadata(header.get("metadata")),
            target=target,
            kernel_abi=self._int(header.get("kernel_abi"), 0, 2**31, "the kernel interface"),
            _data=self._data,
        )

    def _header(self) -> tuple[dict[str, Any], int]:
        """The header as JSON, from a private copy, and the start of the sections."""
        if self._data.size < form.HEADER_START:
            raise self._error(f"{self._data.size} bytes are no artifact")
        magic, version, _, size, digest = form.PREFIX.unpack(self._data[: form.PREFIX.size].tobytes())
        if magic != form.MAGIC:
            raise self._error("this is no .cnnc file")
        if version > form.VERSION or version < 1:
            raise ArtifactError(
                f"format version {version}; this runtime reads versions 1 to {form.VERSION}",
                where=self._where,
                hint="update cnnc, or compile the model with this version",
            )
        if size > form.MAX_HEADER_BYTES or form.HEADER_START + form.padded(size) > self._data.size:
            raise self._error(f"a header of {size} bytes does not fit")
        text = self._data[form.HEADER_START : form.HEADER_START + size].tobytes()
        if hashlib.sha256(text).digest() != digest:
            raise self._error("the header does not match its hash")
        try:
            header = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            raise self._error(f"the header is not JSON ({error})") from error
        except RecursionError as error:
            raise self._error("the header is nested too deeply") from error
        if not isinstance(header, dict):
            raise self._error("the header is no object")
        return header, form.HEADER_START + form.padded(size)

    def _check_names(self, program: Program, gpu: Target | None) -> None:
        """Kernels and host functions come from the runtime's tables only; ``gpu`` is None for a program of the CPU."""
        from cnnc.runtime.host import has_function

        for variant in program.variants():
            if not has_kernel(variant.kernel, gpu):
                raise self._error(f"it uses kernel {variant.kernel!r:.80}, which this runtime does not have")
        for step in program.steps:
            if isinstance(step, HostStep) and not has_function(step.function):
                raise self._error(f"it uses host function {step.function!r:.80}, which this runtime does not have")

    def _check_arguments(self, program: Program, written: Any, gpu: Target | None) -> None:
        """The file's kernels took the arguments that they take now; files of older versions do not say."""
        if written is None:
            return
        if not isinstance(written, dict):
            raise self._error("the kernels' arguments are no table")
        kernel_def = kernel_table(gpu)
        for name in {variant.kernel for variant in program.variants()}:
            if written.get(name) != list(kernel_def(name).args):
                raise ArtifactError(
                    f"kernel {name} takes other arguments in this version than in the one that wrote the file",
                    where=self._where,
                    hint="compile the model again",
                )

    def _check_constants(self, program: Program, sections: tuple[Section, ...]) -> None:
        sizes = [section.content_bytes for section in sections if section.kind == "constant"]
        for buffer in program.buffers:
            if buffer.kind != "constant":
                continue
            if not 0 <= buffer.constant < len(sizes) or buffer.bytes != sizes[buffer.constant]:
                raise self._error(f"constant {buffer.name!r:.80} has no section of its size")

    def _metadata(self, data: Any) -> tuple[tuple[str, str], ...]:
        if not isinstance(data, list) or len(data) > 4096:
            raise self._error("the metadata is no list")
        for pair in data:
            if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise self._error("the metadata is no list of pairs of texts")
        return tuple((key, value) for key, value in data)

    def _target(self, data: Any) -> tuple[str, str, int] | None:
        match data:
            case None:
                return None
            case [str() as cpu, str() as features, int() as vector_bytes]:
                return cpu, features, vector_bytes
        raise self._error("the target is no target")

    def _int(self, data: Any, low: int, high: int, what: str) -> int:
        if type(data) is not int or not low <= data <= high:
            raise self._error(f"{what} is no integer between {low} and {high}")
        return data

    def _error(self, what: str) -> ArtifactError:
        return ArtifactError(what, where=self._where, hint=DAMAGED)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
