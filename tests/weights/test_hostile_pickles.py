"""Pickles that are programs, or damaged: refused with a sentence, never executed, in bounded time and memory."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnc.errors import ModelError, UnsupportedError, UserError
from cnnc.frontends.weights import pickle_machine, read_weights, torch_pickle
from cnnc.frontends.weights.pickle_machine import read_pickle
from cnnc.frontends.weights.torch_pickle import TorchVocabulary
from tests.weights.torch_files import (
    MAGIC,
    ORDERED_DICT,
    REBUILD,
    Call,
    Global,
    PersistentId,
    Raw,
    pickled,
    storage,
    tensor,
    torch_legacy,
    torch_zip,
)

ELEMENTS = np.arange(6, dtype=np.float32)


def with_pickle(folder: Path, data: bytes) -> Path:
    """A file of this pickle, beside a storage "0" of six elements."""
    return torch_zip(folder / "w.pth", data, {"0": ELEMENTS.tobytes()})


def read(data: bytes) -> object:
    return read_pickle(io.BytesIO(data), TorchVocabulary("w.pth"), "w.pth")


# Programs


class Exploit:
    """Creates a folder when a pickle of it is executed."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("legacy", [False, True])
def test_a_program_is_not_executed(tmp_path: Path, protocol: int, legacy: bool) -> None:
    code = pickle.dumps({"w": Exploit(tmp_path / "trace")}, protocol)
    path = torch_legacy(tmp_path / "w.pth", code, {}) if legacy else with_pickle(tmp_path, code)
    with pytest.raises(
        UnsupportedError, match=r"w\.pth.*'(posix|nt)\.mkdir'.*nothing of it was executed(.|\n)*PyTorch"
    ):
        read_weights(path)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_qtensor"),
        ("collections", "Counter"),
        ("collections", "OrderedDict "),
        ("", ""),
    ],
)
def test_other_names_are_refused_before_they_are_called(module: str, name: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"'{module}\.{name}'.*no state_dict"):
        read(pickled({"w": Global(module, name)}))


@pytest.mark.parametrize("opcode", [b"R", b"\x81", b"b"])
def test_objects_of_the_pickle_are_not_called(opcode: bytes) -> None:
    with pytest.raises(UserError, match=r"calls the text 'print'|opcode NEWOBJ|sets attributes of the text"):
        read(b"\x80\x02X\x05\x00\x00\x00print)" + opcode + b".")


@pytest.mark.parametrize(
    ("code", "opcode"),
    [
        (b"\x8f.", "EMPTY_SET"),
        (b"\x82\x01.", "EXT1"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cos\nsystem\no.", "os.system"),
        (b"Pfile\n.", "PERSID"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", "BYTEARRAY8"),
    ],
)
def test_opcodes_that_no_state_dict_needs(code: bytes, opcode: str) -> None:
    with pytest.raises(UnsupportedError, match=opcode):
        read(b"\x80\x05" + code)


# Damage


@pytest.mark.parametrize(
    ("code", "fragment"),
    [
        (b"", "damaged"),
        (b"\x80\x02", "damaged"),
        (b"\xff.", "damaged"),
        (b"X\xff\xff\xff\x7fa.", "damaged"),
        (b"\x8e" + b"\xff" * 8 + b".", "damaged"),
        (b"Ixyz\n.", "damaged"),
        (b"I" + b"9" * 5000 + b"\n.", "damaged"),
        (b"\x8b\x20\x00\x00\x00" + b"\x7f" * 32 + b".", "number of 255 bits"),
        (b".", "empty stack"),
        (b"0.", "empty stack"),
        (b"NN.", "leaves objects"),
        (b"(N.", "leaves objects"),
        (b"(1.", "empty stack"),
        (b"t.", "mark that is not there"),
        (b"N\x85R.", "empty stack"),
        (b"h\x05.", "has not stored"),
        (b"Np-1\n.", "impossible number"),
        (b"Np99999999999\n.", "impossible number"),
        (b"N(Ne.", "appends to None"),
        (b"](NNu.", "into a list"),
        (b"}(NNNu.", "3 keys and values"),
        (b"}]Ns.", "has a list as a key"),
        (b"}NNs.", "has None as a key"),
        (b"}I4294967296\nNs.", "a number below"),
        (b"}K\x01NsK\x01Ns.", "sets the key 1 twice"),
        (b"(K\x01NK\x01Nd.", "sets the key 1 twice"),
        (b"ccollections\nOrderedDict\n]R.", "with a list, not with a tuple"),
        (b"ccollections\nOrderedDict\n)RNb.", "attributes of a table from None"),
        (b"NN\x93.", "no text"),
    ],
)
def test_damaged_pickles(code: bytes, fragment: str) -> None:
    with pytest.raises(ModelError, match=rf"w\.pth.*{fragment}(.|\n)*next step"):
        read(code)


@pytest.mark.parametrize(
    ("value", "fragment"),
    [
        (Call(Global("collections", "OrderedDict"), (5,)), "OrderedDict of something that is no list"),
        (Call(Global("collections", "OrderedDict"), ([["a", 1], ["a", 2]],)), "each once"),
        (Call(Global("collections", "OrderedDict"), ([5],)), "each once"),
        (Call(Global("torch", "Size"), (5,)), "torch.Size of something"),
        (Call(Global("torch", "Size"), ([1] * 65,)), "a list of at most 64"),
        (Call(REBUILD, (0,) * 9), "with 9 arguments; expected at most 8"),
        (PersistentId(("storage",) + (0,) * 8), "something that is no storage"),
        (Call(REBUILD, ()), "something else than a storage"),
        (Call(REBUILD, ("0", 0, (2,), (1,), False, ORDERED_DICT)), "something else than a storage"),
        (Call(REBUILD, (storage("0", 6), 0, [2], [1], False, ORDERED_DICT)), "something else than a storage"),
        (Call(Global("torch._utils", "_rebuild_tensor_v3"), ()), "without an element type"),
        (Call(Global("torch._utils", "_rebuild_parameter"), (5,)), "something that is no tensor"),
        (PersistentId("0"), "something that is no storage"),
        (PersistentId(("storage", "FloatStorage", "0", "cpu", 6)), "something that is no storage"),
        (storage("0", "6"), "something that is no storage"),
        (storage("0", -1), "impossible size"),
        (storage("0", 1 << 63), "impossible size"),
        (storage("", 6), "impossible size"),
        (storage("k" * 200, 6), "impossible size"),
        ([storage("0", 6), storage("0", 7)], "gives storage '0' 24 bytes and 28"),
    ],
)
def test_calls_with_other_arguments(value: object, fragment: str) -> None:
    with pytest.raises(ModelError, match=rf"w\.pth.*{fragment}(.|\n)*next step"):
        read(pickled(value))


def test_what_pytorch_can_save_and_weights_do_not_need() -> None:
    with pytest.raises(UnsupportedError, match=r"whole module(.|\n)*state_dict"):
        read(pickled(PersistentId(("module", None, "net.py", "class Net"))))
    with pytest.raises(UnsupportedError, match=r"view of another one, as PyTorch wrote them before 0\.4"):
        read(pickled(storage("0", 6, "FloatStorage", ("1", 0, 3))))
    negative = Call(REBUILD, (storage("0", 6), 0, (2,), (1,), False, ORDERED_DICT, {"neg": True}))
    with pytest.raises(UnsupportedError, match=r"sign bit(.|\n)*resolve_neg"):
        read(pickled(negative))


# Tensors that reach outside of their storage


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "fragment"),
    [
        ((7,), (1,), 0, "elements 0 to 7 lie outside its storage '0', which has 6"),
        ((2, 3), (4, 1), 0, "elements 0 to 7"),
        ((6,), (1,), 1, "elements 1 to 7"),
        ((2,), (1,), -1, "elements -1 to 1"),
        ((0,), (1,), 7, "elements 7 to 7"),
        ((2,), (-1,), 5, "none of them negative"),
        ((2, 3), (1,), 0, "as many strides"),
        ((2,), ("1",), 0, "as many strides"),
        ((2,), (1 << 62,), 0, "as many strides"),
        ((-2,), (1,), 0, "no size below"),
        (("2",), (1,), 0, "no size below"),
        ((True,), (1,), 0, "no size below"),
        ((1 << 50,), (0,), 0, "no size below"),
        ((1 << 40, 1 << 40), (0, 0), 0, "too many elements"),
        ((0, 1 << 40, 1 << 40), (0, 0, 0), 0, "too many elements"),
        ((1,) * 65, (1,) * 65, 0, "at most 64 sizes"),
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_impossible_tensors(
    tmp_path: Path, shape: tuple[object, ...], strides: tuple[object, ...], offset: int, fragment: str, legacy: bool
) -> None:
    code = pickled({"layer.w": tensor("0", 6, shape, strides, offset=offset)})
    path = torch_legacy(tmp_path / "w.pth", code, {"0": ELEMENTS}) if legacy else with_pickle(tmp_path, code)
    with pytest.raises(ModelError, match=rf"w\.pth: tensor 'layer\.w': .*{fragment}(.|\n)*next step"):
        read_weights(path)


def test_a_tensor_that_repeats_one_element_without_end(tmp_path: Path) -> None:
    code = pickled({"w": tensor("0", 6, (1 << 32,), (0,))})
    with pytest.raises(ModelError, match=r"its tensors take 17179869184 bytes(.|\n)*without views"):
        read_weights(with_pickle(tmp_path, code))


def test_many_tensors_that_share_a_storage(tmp_path: Path) -> None:
    size = 1 << 20
    code = pickled({f"w{index}": tensor("0", size, (size,), (1,)) for index in range(120)})
    path = torch_zip(tmp_path / "w.pth", code, {"0": bytes(4 * size)})
    with pytest.raises(ModelError, match="its tensors take 503316480 bytes"):
        read_weights(path)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J", "n" * 1025])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    code = pickled({name: tensor("0", 6, (6,), (1,))})
    with pytest.raises(ModelError, match="is no name for a tensor"):
        read_weights(with_pickle(tmp_path, code))


# Bounds


def test_depth_does_not_matter(tmp_path: Path) -> None:
    deep = b"]" * 300_000 + b"a" * 299_999
    with pytest.raises(ModelError, match="holds a list"):
        read_weights(with_pickle(tmp_path, b"\x80\x02" + deep + b"."))
    tuples = b")" + b"\x85" * 300_000
    with pytest.raises(ModelError, match="something that is no storage"):
        read(b"\x80\x02" + tuples + b"Q.")
    tables = b"}X\x01\x00\x00\x00a" * 100_000 + b"N" + b"s" * 100_000
    with pytest.raises(ModelError, match="no table of tensors"):
        read_weights(with_pickle(tmp_path, b"\x80\x02" + tables + b"."))


def test_a_table_that_holds_itself(tmp_path: Path) -> None:
    loop = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."
    with pytest.raises(ModelError, match="no table of tensors"):
        read_weights(with_pickle(tmp_path, loop))


def test_too_many_opcodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_OPCODES", 1000)
    with pytest.raises(ModelError, match="more than 1000 opcodes"):
        read(b"N" * 2000 + b".")


def test_a_pickle_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"its pickle has \d+ bytes; expected at most"):
        read_weights(with_pickle(tmp_path, bytes(pickle_machine.MAX_PICKLE_BYTES + 1)))


def test_one_list_for_many_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_pickle, "MAX_PAIRS", 1000)
    pairs = pickled([[f"w{index}", None] for index in range(100)])[2:-1]
    code = b"ccollections\nOrderedDict\nq\x00" + pairs + b"\x85q\x01" + b"h\x00h\x01R0" * 11
    with pytest.raises(ModelError, match="OrderedDicts of more than 1000 pairs"):
        read(b"\x80\x02" + code + b".")


# The container before 1.6


def test_pickles_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"w": [1.0, 2.0]}))
    with pytest.raises(ModelError, match=r"a pickle, but torch\.save did not write it(.|\n)*npz"):
        read_weights(path)


def legacy_file(folder: Path, *, keys: object = None, cut: int | None = None) -> Path:
    code = pickled({"w": tensor("0", 6, (6,), (1,))})
    path = torch_legacy(folder / "w.pth", code, {"0": ELEMENTS}, keys=keys)
    path.write_bytes(path.read_bytes()[:cut])
    return path


def test_other_protocols(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(MAGIC + pickled(1000))
    with pytest.raises(ModelError, match="its protocol is the number 1000; expected 1001"):
        read_weights(path)


@pytest.mark.parametrize(
    ("keys", "fragment"),
    [
        ([], "'w': its storage '0' does not follow"),
        (["1"], "a storage that no tensor has"),
        (["0", "0"], "or one twice"),
        ([0], "a storage that no tensor has"),
        ({}, "listed by a table"),
    ],
)
def test_lists_of_storages_that_do_not_fit(tmp_path: Path, keys: object, fragment: str) -> None:
    with pytest.raises(ModelError, match=fragment):
        read_weights(legacy_file(tmp_path, keys=keys))


def test_a_truncated_storage(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"storage '0' takes bytes \d+ to \d+, but the file ends at \d+"):
        read_weights(legacy_file(tmp_path, cut=-1))


def test_a_storage_of_another_size(tmp_path: Path) -> None:
    path = legacy_file(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<Q", 6) + ELEMENTS.tobytes(), struct.pack("<Q", 5) + ELEMENTS.tobytes()))
    with pytest.raises(ModelError, match="storage '0' has 5 elements; its tensors expect 6"):
        read_weights(path)


# Fuzz

OPCODES = [
    *(bytes([code]) for code in range(256)),
    b"K\x01",
    b"q\x00",
    b"h\x00",
    b"X\x01\x00\x00\x00a",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch\nFloatStorage\n",
    pickled(tensor("0", 6, (6,), (1,)))[2:-1],
    pickled(storage("0", 6))[2:-1],
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(OPCODES), max_size=30))
def test_any_opcodes_end_in_a_value_or_a_user_error(codes: list[bytes]) -> None:
    try:
        read(b"".join(codes) + b".")
    except UserError as error:
        assert "next step" in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_any_bytes_within_a_pickle_end_in_a_value_or_a_user_error(noise: bytes, place: int) -> None:
    code = pickled({"w": tensor("0", 6, (6,), (1,)), "x": Raw(b"N")})
    try:
        read(code[:place] + noise + code[place + len(noise) :])
    except UserError as error:
        assert "next step" in str(error)
