"""What ``torch.save`` wrote before PyTorch 1.6, and still does with ``_use_new_zipfile_serialization=False``.

pickle     a magic number
pickle     the protocol, 1001
pickle     sizes and byte order of the machine that wrote it, which elements do not depend on
pickle     the object
pickle     list of the keys of its storages
storages   in the order of that list: u64 number of elements, then the elements, all little-endian
"""

from __future__ import annotations

import io
import struct

from cnnc.errors import ModelError
from cnnc.frontends.weights.checkpoint import state_dict_content
from cnnc.frontends.weights.pickle_machine import MAX_PICKLE_BYTES, kind, read_pickle
from cnnc.frontends.weights.stored_tensor import DAMAGED, StridedTensor
from cnnc.frontends.weights.torch_pickle import Storage, TorchTensor, TorchVocabulary
from cnnc.frontends.weights.weights import Content
from cnnc.runtime.aligned_memory import Bytes

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_COUNT = struct.Struct("<Q")


def read_torch_legacy(data: Bytes, entry: str | None, where: str) -> Content:
    """The tensors of the state_dict in the file; ``entry`` as in ``read_weights``.

    Raises:
        ModelError: the file is damaged or a pickle of something else, or there is no state_dict.
        UnsupportedError: a pickle that names anything but tensors.
    """
    vocabulary = TorchVocabulary(where)
    stream = io.BytesIO(data[:MAX_PICKLE_BYTES].data)
    if read_pickle(stream, vocabulary, where) != MAGIC:
        what = "this is a pickle, but torch.save did not write it"
        raise ModelError(what, where=where, hint="load it in Python where you trust it, and save its arrays as .npz")
    protocol = read_pickle(stream, vocabulary, where)
    if protocol != PROTOCOL:
        raise ModelError(f"its protocol is {kind(protocol)}; expected {PROTOCOL}", where=where, hint=DAMAGED)
    read_pickle(stream, vocabulary, where)
    root = read_pickle(stream, vocabulary, where)
    keys = read_pickle(stream, vocabulary, where)
    starts = _starts(data, stream.tell(), keys, vocabulary.storages, where)

    def place(tensor: TorchTensor, place_name: str) -> StridedTensor:
        start = starts.get(tensor.storage.key)
        if start is None:
            what = f"its storage {tensor.storage.key!r:.80} does not follow the pickles"
            raise ModelError(what, where=place_name, hint=DAMAGED)
        return tensor.stored(start, "<", place_name)

    return state_dict_content("PyTorch before 1.6", root, entry, place, where)


def _starts(data: Bytes, position: int, keys: object, storages: dict[str, Storage], where: str) -> dict[str, int]:
    """Byte of the file where the elements of each storage begin."""
    if not isinstance(keys, list):
        raise ModelError(f"its storages are listed by {kind(keys)}, not by a list", where=where, hint=DAMAGED)
    starts: dict[str, int] = {}
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or key in starts:
            raise ModelError(
                f"it lists a storage that no tensor has, or one twice ({kind(key)})", where=where, hint=DAMAGED
            )
        begin = position + _COUNT.size
        end = begin + storage.bytes
        if end > data.size:
            what = f"storage {key!r} takes bytes {begin} to {end}, but the file ends at {data.size}"
            raise ModelError(what, where=where, hint=DAMAGED)
        (count,) = _COUNT.unpack(data[position:begin].tobytes())
        if count != storage.count:
            what = f"storage {key!r} has {count} elements; its tensors expect {storage.count}"
            raise ModelError(what, where=where, hint=DAMAGED)
        starts[key], position = begin, end
    return starts
