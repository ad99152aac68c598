"""The .cnnc file: round trips, every kind of damage, and random damage."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import ArtifactError, InputError
from cnnc.runtime import artifact_format as form
from cnnc.runtime.artifact import Portable, load_artifact, open_artifact, save_artifact
from cnnc.runtime.cpu import kernel_def
from cnnc.runtime.executor import Executor, Resolvers
from cnnc.runtime.kernel import Target
from cnnc.runtime.program import (
    Buffer,
    Choice,
    HostStep,
    KernelStep,
    Port,
    Program,
    Sizes,
    Tensor,
)
from cnnc.runtime.program_json import program_to_json
from cnnc.runtime.program_reader import program_from_json
from cnnc.runtime.zero_words import ZeroForm
from cnnc.types import DType
from tests.runtime.copy_program import copy_add, copy_call
from tests.runtime.tables import NoPool, no_kernel

N, H = symbol("N"), symbol("H")


def sample() -> Program:
    """Copies, a host step with every kind of operand and attribute, guards, constants, symbolic sizes."""
    count = N * ((H + 1) // 2)
    buffers = (
        Buffer("x", "input", 4 * N * H),
        Buffer("w", "constant", 12, 0),
        Buffer("t", "arena", 4 * count),
        Buffer("y", "output", 4 * count),
    )
    guarded = Choice((copy_call(0, 2, count), copy_call(0, 2, count, 0)), (N - 4, H % 3))
    step = KernelStep((guarded, Choice((copy_call(0, 2, count),))), (0,), (2,), "conv1", "conv", 9 * count)
    attributes = (
        ("axis", -1),
        ("values", (1, 2.5, ("a", None, True))),
        ("low", float("-inf")),
    )
    host = HostStep(
        "add",
        attributes,
        (Tensor(2, (N, (H + 1) // 2), DType.F32), None, Sizes((N, 3)), Sizes((H,), True), Tensor(1, (3,), DType.F32)),
        (Tensor(3, (count,), DType.F32), None),
        "add1",
        "add",
    )
    return Program((Port("x", 0, (N, H), DType.F32),), (Port("y", 3, (count,), DType.F32),), buffers, (step, host))


WEIGHTS = (np.array([1, 2, 3], np.float32),)
PORTABLE = Portable(
    b"graph text", (("w", np.arange(6, dtype=np.float16).reshape(2, 3)), ("empty", np.zeros((0, 4), np.int64)))
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.cnnc"
    save_artifact(file, sample(), WEIGHTS, portable=PORTABLE, metadata={"producer_name": "tests", "lang": "äß"})
    return file


def test_program_survives_json() -> None:
    program = sample()
    text = json.dumps(program_to_json(program), allow_nan=False)
    assert program_from_json(json.loads(text), "here") == program


@pytest.mark.parametrize("trusted", [True, False])
def test_round_trip_through_a_file(path: Path, trusted: bool) -> None:
    executable = load_artifact(path, trusted=trusted, check_weights=True)
    assert executable.program == sample()
    assert dict(executable.metadata) == {"producer_name": "tests", "lang": "äß"}
    np.testing.assert_array_equal(executable.constants[0].view(np.float32), WEIGHTS[0])
    assert not executable.constants[0].flags.writeable
    assert executable.constants[0].ctypes.data % 64 == 0


def test_round_trip_through_bytes_and_portable_part(path: Path) -> None:
    artifact = open_artifact(path.read_bytes())
    portable = artifact.portable()
    assert portable is not None
    assert portable.graph == PORTABLE.graph
    for (name, weight), (expected_name, expected) in zip(portable.weights, PORTABLE.weights, strict=True):
        assert name == expected_name
        assert weight.dtype == expected.dtype
        np.testing.assert_array_equal(weight, expected)


def test_sections_are_aligned_and_nothing_else_is_left(path: Path) -> None:
    assert all(section.start % 64 == 0 for section in open_artifact(path).sections)
    assert [file.name for file in path.parent.iterdir()] == ["model.cnnc"]


def test_failed_write_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()

    class Unwritable:
        dtype, shape = np.dtype(np.float32), (3,)

        def __array__(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        save_artifact(path, sample(), (Unwritable(),))  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["model.cnnc"]


def edited(data: bytes, edit: Callable[[Any], Any]) -> bytes:
    """The artifact with its header changed and hashed anew."""
    magic, version, zero, size, _ = form.PREFIX.unpack_from(data)
    start = form.HEADER_START
    header = json.loads(data[start : start + size])
    header = edit(header) or header
    text = json.dumps(header).encode()
    prefix = form.PREFIX.pack(magic, version, zero, len(text), hashlib.sha256(text).digest())
    sections = data[start + form.padded(size) :]
    return prefix.ljust(start, b"\0") + text.ljust(form.padded(len(text)), b"\0") + sections


def put(*keys: Any, value: Any) -> Callable[[Any], None]:
    def edit(header: Any) -> None:
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = value

    return edit


def section(index: int, **fields: Any) -> Callable[[Any], None]:
    return lambda header: header["sections"][index].update(fields)


def pruned() -> Program:
    """One constant that is large enough to be stored without its zeros, read by a host step."""
    read = HostStep(
        "identity", (), (Tensor(1, (20000,), DType.F32),), (Tensor(0, (20000,), DType.F32),), "copy", "identity"
    )
    buffers = (Buffer("y", "output", 80000), Buffer("w", "constant", 80000, 0))
    return Program((), (Port("y", 0, (20000,), DType.F32),), buffers, (read,))


def pruned_weight() -> np.ndarray[Any, np.dtype[np.float32]]:
    weight = np.where(np.arange(20000) % 3, 0.0, -0.0).astype(np.float32)
    weight[::7] = np.arange(1, 2859)
    weight[9] = np.nan
    return weight


@pytest.fixture
def pruned_path(tmp_path: Path) -> Path:
    file = tmp_path / "pruned.cnnc"
    weight = pruned_weight()
    portable = Portable(b"graph text", (("w", weight.astype(np.float16).reshape(200, 100)), ("small", np.zeros(3))))
    save_artifact(file, pruned(), (weight,), portable=portable)
    return file


@pytest.mark.parametrize("trusted", [True, False])
def test_zeros_are_left_out_and_come_back(pruned_path: Path, trusted: bool) -> None:
    artifact = open_artifact(pruned_path, trusted=trusted)
    constant, _, weight, small = artifact.sections
    assert (constant.form, constant.content_bytes, small.form) == (ZeroForm(4, True), 80000, None)
    assert constant.bytes < 17000
    assert weight.bytes < 11500
    [content] = artifact.executable(check_weights=True).constants
    assert content.tobytes() == pruned_weight().tobytes()
    assert content.ctypes.data % 64 == 0
    assert not content.flags.writeable
    portable = artifact.portable()
    assert portable is not None
    assert portable.weights[0][1].tobytes() == pruned_weight().astype(np.float16).tobytes()


def test_a_file_is_of_the_lowest_version_that_has_what_is_in_it(path: Path, pruned_path: Path) -> None:
    """Programs that know version 1 read every file that leaves no zeros out."""
    assert (path.read_bytes()[8], pruned_path.read_bytes()[8]) == (1, 2)


PRUNED_DAMAGE = {
    "word of an unknown size": (section(0, word=3), "whole number of words"),
    "word of no bytes": (section(0, word=0), "words"),
    "signs that are no truth": (section(0, signs=1), "whole number of words"),
    "signs that are not there": (section(0, signs=False), "fewer bits"),
    "word too large": (section(0, word=16), "words"),
    "word that is no number": (section(0, word="4"), "words"),
    "no size": (lambda header: header["sections"][0].pop("content_bytes") and None, "the size of a section's content"),
    "another size": (section(0, content_bytes=80004), "constant 'w' has no section of its size"),
    "a size that is no multiple": (section(0, content_bytes=80002), "whole number of words"),
    "a size beyond what the bytes can hold": (section(0, content_bytes=1 << 40), "cannot be those"),
    "fewer words than the mask says": (section(0, bytes=12000), "its mask has more bits"),
    "no whole number of words": (section(0, bytes=12001), "cannot be those"),
    "fewer bytes than the mask has": (section(0, bytes=100), "cannot be those"),
    "content of no bytes": (section(0, content_bytes=0), "cannot be those"),
    "weight of another content": (section(2, content_bytes=40004), "shape"),
    "zeros that are not left out": (lambda header: header["sections"][0].pop("word") and None, "section of its size"),
}


@pytest.mark.parametrize("name", PRUNED_DAMAGE)
def test_damaged_table_of_left_out_zeros(pruned_path: Path, name: str) -> None:
    edit, fragment = PRUNED_DAMAGE[name]
    with pytest.raises(ArtifactError, match="next step") as caught:
        load_artifact(edited(pruned_path.read_bytes(), edit))
    assert fragment in str(caught.value)


def test_a_damaged_mask_is_refused(pruned_path: Path) -> None:
    data = bytearray(pruned_path.read_bytes())
    data[open_artifact(pruned_path).sections[0].start] ^= 2
    with pytest.raises(ArtifactError, match="its mask has"):
        load_artifact(bytes(data))
    data = bytearray(pruned_path.read_bytes())
    data[open_artifact(pruned_path).sections[2].start + 1] ^= 2
    with pytest.raises(ArtifactError, match="hash"):
        open_artifact(bytes(data)).portable()


DAMAGE = {
    "section beyond the end": (section(0, offset=1 << 40), "outside the file"),
    "section too long": (section(0, bytes=1 << 40), "outside the file"),
    "section not aligned": (section(0, offset=4), "outside the file"),
    "sections overlap": (section(1, offset=0), "overlaps"),
    "negative offset": (section(0, offset=-64), "offset"),
    "float offset": (section(0, offset=0.0), "offset"),
    "unknown section kind": (section(0, kind="pickle"), "kind"),
    "weight of another shape": (section(2, shape=[2, 4]), "shape"),
    "huge weight shape": (section(2, shape=[1 << 48, 1 << 48]), "shape"),
    "no sections": (put("sections", value=None), "section table"),
    "constant without section": (put("program", "buffers", 1, 3, value=7), "constant"),
    "constant of another size": (put("program", "buffers", 1, 2, value=16), "constant"),
    "constant of symbolic size": (put("program", "buffers", 1, 2, value="N"), "constant"),
    "unknown buffer kind": (put("program", "buffers", 0, 1, value="heap"), "kind"),
    "input without port": (put("program", "buffers", 2, 1, value="input"), "inputs and input buffers"),
    "buffer index": (put("program", "outputs", 0, 1, value=99), "between 0 and 3"),
    "boolean for an index": (put("program", "outputs", 0, 1, value=True), "integer"),
    "unknown kernel": (put("program", "variants", 0, 0, value="os.system"), "kernel 'os.system'"),
    "unrolled without end": (put("program", "variants", 0, 1, value=[["columns", 900], ["blocks", 900]]), "too large"),
    "worker loop as kernel": (put("program", "variants", 0, 0, value="worker_loop"), "worker_loop"),
    "unknown host function": (put("program", "steps", 1, "host", value="eval"), "host function 'eval'"),
    "unknown dtype": (put("program", "outputs", 0, 3, value="str"), "element type"),
    "expression that is code": (put("program", "buffers", 0, 2, value="__import__('os')"), "expression"),
    "expression not canonical": (put("program", "buffers", 0, 2, value="N + N"), "canonical"),
    "power": (put("program", "buffers", 0, 2, value="N**9"), "expression"),
    "long expression": (put("program", "buffers", 0, 2, value="N+" * 2100 + "N"), "too long"),
    "deep expression": (put("program", "buffers", 0, 2, value="(" * 200 + "N" + ")" * 200), "too deep"),
    "explosive expression": (
        put("program", "buffers", 0, 2, value="*".join(["(A + B + C + D)"] * 60)),
        "too many products",
    ),
    "huge number": (put("program", "buffers", 0, 2, value=1 << 80), "integer"),
    "unguarded choice missing": (put("program", "steps", 0, "choices", 1, "when", value=[1]), "guard"),
    "no program": (put("program", value=[]), "missing"),
    "deep attribute": (put("program", "steps", 1, "attributes", 0, 1, value=json.loads("[" * 50 + "]" * 50)), "deeply"),
    "odd metadata": (put("metadata", value=[["a", 1]]), "metadata"),
    "odd target": (put("target", value=["x"]), "target"),
    "other CPU": (put("target", value=["power9", "", 16]), "compiled for power9"),
    "kernel of other arguments": (put("kernels", "copy.strided", value=["x", "y"]), "takes other arguments"),
    "odd kernel table": (put("kernels", value=3), "no table"),
    "not an object": (lambda header: [header], "no object"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_header(path: Path, name: str) -> None:
    edit, fragment = DAMAGE[name]
    with pytest.raises(ArtifactError, match="next step") as caught:
        load_artifact(edited(path.read_bytes(), edit))
    assert fragment in str(caught.value)


def test_unknown_header_keys_are_ignored(path: Path) -> None:
    assert load_artifact(edited(path.read_bytes(), put("added_later", value={"a": 1}))).program == sample()


def test_files_that_do_not_say_what_their_kernels_take_are_read(path: Path) -> None:
    assert load_artifact(edited(path.read_bytes(), lambda header: header.pop("kernels") and None)).program == sample()


def test_newer_version_says_so(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8] = form.VERSION + 1
    with pytest.raises(ArtifactError, match="update cnnc"):
        load_artifact(bytes(data))


@pytest.mark.parametrize("text", [b"{" * 100_000, b"[" * 100_000, b"NaN", b"\xff\xfe", b"9" * 10_000, b""])
def test_header_that_is_no_json(text: bytes) -> None:
    prefix = form.PREFIX.pack(form.MAGIC, form.VERSION, 0, len(text), hashlib.sha256(text).digest())
    data = prefix.ljust(form.HEADER_START, b"\0") + text.ljust(form.padded(len(text)), b"\0")
    with pytest.raises(ArtifactError):
        load_artifact(data)


def test_weights_are_checked_on_request(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[open_artifact(path).sections[0].start] ^= 1
    load_artifact(bytes(data))
    with pytest.raises(ArtifactError, match="hash"):
        load_artifact(bytes(data), check_weights=True)
    data = bytearray(path.read_bytes())
    data[open_artifact(path).sections[1].start] ^= 1
    with pytest.raises(ArtifactError, match="hash"):
        open_artifact(bytes(data)).portable()


@pytest.mark.parametrize("zeros", [False, True], ids=["dense", "pruned"])
def test_random_damage_gives_an_artifact_error_or_a_valid_program(path: Path, pruned_path: Path, zeros: bool) -> None:
    data, expected = (pruned_path.read_bytes(), pruned()) if zeros else (path.read_bytes(), sample())
    rng = random.Random(7)
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(len(damaged)) :]
        try:
            survived = load_artifact(bytes(damaged))
        except ArtifactError:
            continue
        assert survived.program == expected


def places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found.append((value, key))
        places(inner, found)
    return found


JUNK = (
    None,
    True,
    -1,
    0,
    1,
    3,
    2**40,
    2**62,
    0.5,
    "",
    "x",
    "N",
    "N*H",
    "0 - N",
    "N//0",
    "-5*N",
    [],
    [[]],
    [0, 0],
    {},
    "add",
)


@pytest.mark.parametrize("zeros", [False, True], ids=["dense", "pruned"])
def test_well_hashed_nonsense_never_crashes(path: Path, pruned_path: Path, zeros: bool) -> None:
    """Structured damage gets past the hash: reading, planning and checking must still end in an ArtifactError."""
    data = (pruned_path if zeros else path).read_bytes()
    rng = random.Random(11)
    resolvers = Resolvers(no_kernel, kernel_def, no_kernel, NoPool)
    outcomes: dict[str, int] = {}
    for _ in range(600):

        def edit(header: Any) -> None:
            for _ in range(rng.randint(1, 3)):
                container, key = rng.choice(places(header, []))
                container[key] = rng.choice(JUNK)

        start = time.monotonic()
        try:
            executor = Executor(load_artifact(edited(data, edit)), resolvers)
            executor.bound_plan(0, {"N": 5, "H": 7})
            outcome = "valid"
        except ArtifactError:
            outcome = "refused"
        except InputError:
            outcome = "too large"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert time.monotonic() - start < 2
    assert outcomes["refused"] > 100
    assert outcomes["valid"] > 10


@pytest.mark.jit
def test_damaged_arguments_that_pass_the_checker_are_safe_to_run(tmp_path: Path) -> None:
    """Kernels really run, on argument blocks that the checker let through: a wild access would kill the process."""
    file = tmp_path / "model.cnnc"
    executable = copy_add()
    save_artifact(file, executable.program, executable.constants)
    data = file.read_bytes()
    rng = random.Random(5)
    x = np.ones((5, 3), np.float32)
    junk = [-3, -1, 0, 1, 2, 3, 5, 16, 64, 8192, 2**31, 2**40, "N", "3*N", "-3*N", "12*N"]
    ran = 0
    for _ in range(250):

        def edit(header: Any) -> None:
            steps = header["program"]["steps"]
            call = rng.choice([step for step in steps if "choices" in step])["choices"][0]["calls"][0]
            for _ in range(rng.randint(1, 2)):
                position = rng.randrange(len(call[1]))
                if isinstance(call[1][position], list):
                    call[1][position][rng.randrange(2)] = rng.choice([0, 1, 2, 3, 4, -4])
                else:
                    call[1][position] = rng.choice(junk)

        try:
            Executor(load_artifact(edited(data, edit))).run([x], {"N": 5})
            ran += 1
        except ArtifactError:
            continue
    assert ran > 20


def test_target_of_this_machine_is_accepted(tmp_path: Path) -> None:
    from cnnc.runtime.jit.target import host_target

    host = host_target()
    file = tmp_path / "model.cnnc"
    save_artifact(file, sample(), WEIGHTS, target=Target("hostile-triple", host.cpu, "", host.vector_bytes))
    target = load_artifact(file).target
    assert target is not None
    assert target.triple == host.triple
    assert target.features == ""
