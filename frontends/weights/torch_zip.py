"""What ``torch.save`` writes since PyTorch 1.6: a zip archive with a pickle and one entry for each storage.

    NAME/data.pkl       the pickle; NAME is mostly the file's
    NAME/byteorder      "little" or "big"; files of PyTorch before 2.0 do not have it and are little-endian
    NAME/data/KEY       elements of storage KEY, uncompressed, at a multiple of 64 in newer files
    NAME/version, ...   not needed

Checksums are not compared, as PyTorch does not: it can be told to write none.
"""

from __future__ import annotations

import io
from typing import Literal

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights.archive import Entry
from cnnc.frontends.weights.checkpoint import state_dict_content
from cnnc.frontends.weights.pickle_machine import MAX_PICKLE_BYTES, RESAVE, read_pickle
from cnnc.frontends.weights.stored_tensor import DAMAGED, StridedTensor
from cnnc.frontends.weights.torch_pickle import TorchTensor, TorchVocabulary
from cnnc.frontends.weights.weights import Content
from cnnc.runtime.aligned_memory import Bytes

PICKLE = "data.pkl"
_BYTE_ORDERS: dict[bytes, Literal["<", ">"]] = {b"little": "<", b"big": ">"}


def is_torch_archive(entries: tuple[Entry, ...]) -> bool:
    """Whether there is a data.pkl in a folder of the archive."""
    return any(_is_pickle(entry) for entry in entries)


def read_torch_zip(data: Bytes, entries: tuple[Entry, ...], entry: str | None, where: str) -> Content:
    """The tensors of the state_dict in the archive; ``entry`` as in ``read_weights``.

    Raises:
        ModelError: the archive, its pickle or a tensor is damaged, or there is no state_dict.
        UnsupportedError: a TorchScript program, compressed storages, or a pickle that names anything but tensors.
    """
    folders = [found.name.removesuffix(PICKLE) for found in entries if _is_pickle(found)]
    if len(folders) != 1:
        raise ModelError(f"{len(folders)} entries are named {PICKLE}; expected one", where=where, hint=DAMAGED)
    folder = folders[0]
    records = {found.name.removeprefix(folder): found for found in entries if found.name.startswith(folder)}
    if "constants.pkl" in records:
        what = "this is a TorchScript program, not a state_dict"
        hint = "load it with torch.jit.load and save its state_dict() with torch.save"
        raise UnsupportedError(what, where=where, hint=hint)
    byte_order = _byte_order(data, records, where)
    vocabulary = TorchVocabulary(where)
    pickle = _record(records, PICKLE, where)
    if pickle.size > MAX_PICKLE_BYTES:
        what = f"its pickle has {pickle.size} bytes; expected at most {MAX_PICKLE_BYTES}"
        raise UnsupportedError(what, where=where, hint=RESAVE)
    root = read_pickle(io.BytesIO(pickle.content(data, pickle.size, where)), vocabulary, where)

    def place(tensor: TorchTensor, place_name: str) -> StridedTensor:
        storage = tensor.storage
        record = _record(records, f"data/{storage.key}", place_name)
        if record.size != storage.bytes:
            what = f"its storage {storage.key!r} needs {storage.bytes} bytes, the archive has {record.size}"
            raise ModelError(what, where=place_name, hint=DAMAGED)
        return tensor.stored(record.start, byte_order, place_name)

    return state_dict_content("PyTorch", root, entry, place, where)


def _is_pickle(entry: Entry) -> bool:
    return entry.name.count("/") == 1 and entry.name.endswith(f"/{PICKLE}")


def _record(records: dict[str, Entry], name: str, where: str) -> Entry:
    record = records.get(name)
    if record is None:
        raise ModelError(f"the archive has no entry {name!r:.80}", where=where, hint=DAMAGED)
    if record.is_compressed:
        hint = "unpack and repack the archive without compression, or save it again with torch.save"
        what = f"its entry {name!r:.80} is compressed, which torch.save does not do"
        raise UnsupportedError(what, where=where, hint=hint)
    return record


def _byte_order(data: Bytes, records: dict[str, Entry], where: str) -> Literal["<", ">"]:
    if "byteorder" not in records:
        return "<"
    written = bytes(_record(records, "byteorder", where).content(data, 16, where))
    if written not in _BYTE_ORDERS:
        what = f"its byte order is {written!r}; expected 'little' or 'big'"
        raise ModelError(what, where=where, hint=DAMAGED)
    return _BYTE_ORDERS[written]
