"""The entries of a zip archive as ranges of bytes of its file: the container of .npz and of PyTorch's files.

The standard library reads the directory; here every range is checked against the file and against the others.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from cnnc.errors import ModelError
from cnnc.frontends.weights.stored_tensor import DAMAGED
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.aligned_memory import Bytes

MAX_DIRECTORY_BYTES = 16 << 20
"""Largest directory of an archive: some 200,000 entries."""
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""Signature, version, flags, method, time, date, CRC-32, sizes, lengths of name and extra field (APPNOTE 4.3.7)."""
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the archive.

    Attributes:
        start: byte of the archive where its content begins.
        stored: bytes that it takes in the archive.
        size: bytes that it has; equal to ``stored`` unless it is compressed.
        crc: CRC-32 of its content, as the archive gives it.
    """

    name: str
    start: int
    stored: int
    size: int
    crc: int
    is_compressed: bool

    def content(self, data: Bytes, limit: int, where: str) -> memoryview:
        """Its first ``limit`` bytes, or all if it has fewer.

        Raises:
            ModelError: the compressed bytes are damaged.
        """
        stored = data[self.start : self.start + self.stored].data
        if not self.is_compressed:
            return stored[:limit]
        try:
            return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, limit))
        except zlib.error as error:
            what = f"its compressed bytes do not unpack ({error})"
            raise ModelError(what, where=where, hint=DAMAGED) from error


def read_entries(data: Bytes, where: str) -> tuple[Entry, ...]:
    """The entries of the archive in the order of its directory, folders left out.

    Raises:
        ModelError: the archive is damaged, an entry lies outside the file or overlaps another one, two have one name,
            or one is encrypted or compressed by another method than deflate.
    """
    try:
        with zipfile.ZipFile(_BoundedStream(data)) as archive:
            infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, struct.error) as error:
        # NotImplementedError: an archive of several disks; OSError and those behind it: numbers that lead nowhere.
        raise ModelError(f"the zip archive cannot be read: {error}", where=where, hint=DAMAGED) from error
    entries = tuple(_entry(info, data, where) for info in infos)
    end, names = 0, set()
    for entry, info in sorted(zip(entries, infos), key=lambda pair: pair[0].start):
        if info.header_offset < end:
            raise ModelError(f"entry {entry.name!r:.80} overlaps another one", where=where, hint=DAMAGED)
        if entry.name in names:
            raise ModelError(f"there are two entries named {entry.name!r:.80}", where=where, hint=DAMAGED)
        end = entry.start + entry.stored
        names.add(entry.name)
    return entries


def _entry(info: zipfile.ZipInfo, data: Bytes, where: str) -> Entry:
    where = f"{where}: entry {info.filename!r:.80}"
    if info.flag_bits & _ENCRYPTED:
        raise ModelError("it is encrypted", where=where, hint="unpack the archive and save the weights again")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = f"it is compressed by method {info.compress_type}; 0 (stored) and 8 (deflate) are read"
        raise ModelError(what, where=where, hint="save the weights again, uncompressed")
    header = data[info.header_offset : info.header_offset + _LOCAL_HEADER.size].tobytes()
    if info.header_offset < 0 or len(header) != _LOCAL_HEADER.size or not header.startswith(_LOCAL_SIGNATURE):
        raise ModelError(f"it has no header at byte {info.header_offset}", where=where, hint=DAMAGED)
    name_length, extra_length = _LOCAL_HEADER.unpack(header)[-2:]
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    if start + info.compress_size > data.size:
        what = f"it takes bytes {start} to {start + info.compress_size}, but the file ends at {data.size}"
        raise ModelError(what, where=where, hint=DAMAGED)
    is_compressed = info.compress_type == zipfile.ZIP_DEFLATED
    if not is_compressed and info.file_size != info.compress_size:
        what = f"it is uncompressed, but has {info.file_size} bytes where {info.compress_size} are stored"
        raise ModelError(what, where=where, hint=DAMAGED)
    return Entry(info.filename, start, info.compress_size, info.file_size, info.CRC, is_compressed)


class _BoundedStream(io.RawIOBase):
    """The bytes as a file that gives at most ``MAX_DIRECTORY_BYTES`` at a time: what the directory may take."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._data.size}[whence]
        if base + offset < 0:
            raise OSError("a position before the start of the file")
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        rest = max(self._data.size - self._position, 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > MAX_DIRECTORY_BYTES:
            raise ValueError(f"its directory has more than {MAX_DIRECTORY_BYTES} bytes")
        part = self._data[self._position : self._position + wanted].tobytes()
        self._position += wanted
        return part
