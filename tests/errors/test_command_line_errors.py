"""Every mistake of a user ends with exit code 2 and a message that names the place, the fault and the next step."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.cli.command_line import IMAGE, LABELS, LENET, cnnc
from tests.frontends.model_builder import build, relu_model, tensor_input


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are wrong in one way each."""
    place = tmp_path_factory.mktemp("mistakes")
    (place / "garbage.onnx").write_bytes(b"\xff\xfegarbage" * 30)
    (place / "empty.onnx").write_bytes(b"")
    (place / "truncated.onnx").write_bytes(LENET.read_bytes()[:5000])
    (place / "page.onnx").write_bytes(b"<html>not found</html>")
    (place / "text.ir").write_text("this is no graph\n")
    (place / "binary.ir").write_bytes(bytes(range(256)))
    (place / "cut.cnnc").write_bytes(b"\x93CNNC\r\n\x1a" + bytes(200))
    (place / "short.cnnc").write_bytes(b"\x93CNNC\r\n\x1a")
    (place / "bad.png").write_bytes(IMAGE.read_bytes()[:60])
    (place / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00garbage")
    (place / "bad.npz").write_bytes(b"PK\x03\x04garbage")
    (place / "bad.pb").write_bytes(b"\xff\xff\xff")
    (place / "notes.txt").write_text("hello")
    (place / "empty.txt").write_text("")
    (place / "two.txt").write_text("cat\ndog\n")
    (place / "binary.txt").write_bytes(b"\xff\xfe\x00")
    np.save(place / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(place / "rank.npy", np.zeros((28, 28), np.float32))
    np.save(place / "dtype.npy", np.zeros((1, 1, 28, 28), np.float64))
    np.save(place / "shape.npy", np.zeros((1, 1, 27, 28), np.float32))
    np.save(place / "other.npy", np.zeros((2, 1, 30, 28), np.float32))
    np.savez(place / "named.npz", a=np.zeros(1), b=np.zeros(1))
    onnx.save(relu_model(), place / "relu.onnx")
    two = [tensor_input("a", (1, 4)), tensor_input("b", (1, 4))]
    onnx.save(build([helper.make_node("Add", ["a", "b"], ["y"])], two, ["y"]), place / "add.onnx")
    unknown = [helper.make_node("Wobble", ["x"], ["h"], name="w1"), helper.make_node("Jiggle", ["h"], ["y"], name="j1")]
    onnx.save(build(unknown, [tensor_input("x", (1, 4))], ["y"]), place / "unknown.onnx")
    _save_without_external_data(place)
    return place


def _save_without_external_data(place: Path) -> None:
    weights = {"w": np.ones((64, 64), np.float32)}
    model = build([helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor_input("x", (1, 64))], ["y"], weights=weights)
    path = place / "external.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (place / "weights.bin").unlink()


MODELS = [
    ("nowhere.onnx", ("nowhere.onnx", "no such file")),
    (".", ("folder",)),
    ("garbage.onnx", ("garbage.onnx", "not ONNX")),
    ("empty.onnx", ("empty.onnx", "empty")),
    ("truncated.onnx", ("truncated.onnx", "truncated")),
    ("page.onnx", ("page.onnx", "HTML")),
    ("text.ir", ("text.ir", "line 1")),
    ("binary.ir", ("binary.ir", "UTF-8")),
    ("cut.cnnc", ("cut.cnnc", "next step")),
    ("short.cnnc", ("short.cnnc", "next step")),
    ("unknown.onnx", ("Wobble", "w1", "Jiggle", "j1")),
    ("external.onnx", ("weights.bin", "'w'")),
]


@pytest.mark.parametrize("command", ["compile", "inspect", "explain", "run"])
@pytest.mark.parametrize(("model", "fragments"), MODELS)
def test_bad_model(folder: Path, command: str, model: str, fragments: tuple[str, ...]) -> None:
    _refused([command, folder / model], fragments)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["compile"], ("MODEL", "--help")),
        (["compile", LENET, "-O", "7"], ("-O", "7")),
        (["compile", LENET, "--optimise"], ("--optimise",)),
        (["compile", LENET, "--shape", "input"], ("--shape", "'input'", "NAME=")),
        (["compile", LENET, "--shape", "input=1,x-y"], ("--shape", "x-y")),
        (["compile", LENET, "--shape", "image=1,1,28,28"], ("image", "input")),
        (["compile", LENET, "--shape", "input=1,28,28"], ("input", "rank 3", "rank 4")),
        (["compile", LENET, "--shape", "input=N,1,28,28", "--shape", "input=1,1,28,28"], ("--shape", "twice")),
        (["compile", LENET, "--print-after", "fold-bach-norm"], ("--print-after", "did you mean fold-batch-norm")),
        (["compile", LENET, "--stop-after", "everything"], ("--stop-after", "everything")),
        (["compile", LENET, "--on-bad-pass", "ignore"], ("--on-bad-pass", "ignore")),
        (["compile", LENET, "--rewrite-limit", "-1"], ("--rewrite-limit", "-1")),
        (["compile", LENET, "--emit", "ir", "-o", "x.cnnc"], ("--output", "nothing to write")),
        (["compile", LENET, "--emit", "ptx"], ("--emit", "ptx", "--target cuda:sm_80")),
        (["compile", LENET, "--emit", "cubin", "--target", "cuda:sm_80"], ("--emit", "not printed", "-o")),
        (["compile", LENET, "--emit", "sass-stats", "--target", "cuda:sm_80", "-o", "x"], ("--output", "printed")),
        (["compile", LENET, "--emit", "ptx", "--target", "cuda:sm_80", "-o", LENET], ("--output", "is a file")),
        (["compile", LENET, "-o", LENET], ("--output", "model itself")),
        (["compile", LENET, "-o", "/nonexistent-folder/x.cnnc"], ("--output", "does not exist", "mkdir")),
        (["compile", LENET, "-o", "/"], ("--output", "folder")),
        (["opt", LENET, "-p", "fold-batchnorm"], ("fold-batchnorm", "did you mean fold-batch-norm")),
        (["opt", LENET, "-p", "assign-layouts{blok=4}"], ("assign-layouts", "blok", "block")),
        (["opt", LENET, "-p", "assign-layouts{block=four}"], ("assign-layouts", "block", "four")),
        (["opt", LENET, "-p", "fuse-elementwise"], ("fuse-elementwise", "normalised")),
        (["opt", LENET, "-p", "??"], ("pipeline", "??")),
        (["opt", LENET, "-p", "fold-pad", "-O1"], ("-O", "leave one out")),
        (["opt", LENET, "-o", "graph.txt"], ("--output", ".ir")),
        (["passes", "unroll"], ("NAME", "unroll")),
        (["run", LENET, "--labels", LABELS], ("--labels", "--top")),
        (["run", LENET, "--top", "0"], ("--top", "0")),
        (["run", LENET, "--size", "big"], ("--size", "big", "224x224")),
        (["run", LENET, "--size", "0x4"], ("--size", "0x4")),
        (["run", LENET, "--mean", "grey"], ("--mean", "grey")),
        (["run", LENET, "--std", "0"], ("--std", "divides")),
        (["run", LENET, "--std", "nan"], ("--std", "finite")),
        (["run", LENET, "--layout", "CHW"], ("--layout", "CHW")),
        (["verify", LENET, "--limit", "0"], ("--limit",)),
        (["verify", LENET, "--seed", "-3"], ("--seed", "-3")),
        (["verify", LENET, "--no-onnxruntime"], ("--no-onnxruntime", "--exact")),
        (["verify", "model.cnnc"], ("model.cnnc", ".onnx")),
        (["bench", LENET, "--against", "torchscript"], ("--against", "torchscript", "onnxruntime")),
        (["bench", LENET, "--threads", "many"], ("--threads", "many")),
        (["bench", LENET, "--threads", "0"], ("--threads", "between 1 and")),
        (["bench", LENET, "--threads", "100000"], ("--threads", "between 1 and")),
        (["bench", LENET, "--json", "/nonexistent-folder/out.json"], ("--json", "does not exist")),
        (["bench", "model.cnnc", "--against", "onnxruntime"], ("model.cnnc", ".onnx")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else " ".join(map(str, value)).replace(str(LENET), "lenet"),
)
def test_bad_option(arguments: list[object], fragments: tuple[str, ...]) -> None:
    _refused(arguments, fragments)


@pytest.mark.parametrize(
    ("engine", "fragments"),
    [("openvino", ("pip install openvino", "PY_OV")), ("ncnn", ("pip install ncnn", "PY_NCNN"))],
)
def test_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, engine: str, fragments: tuple[str, ...]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv(fragments[1], raising=False)
    _refused(["bench", LENET, "--against", engine], (f"{engine} is not installed", *fragments))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_output_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        _refused(["compile", LENET, "-o", tmp_path / "x.cnnc"], ("--output", "may not be written"))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.jit
@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ([], ("no array is fed", "'input'")),
        (["-i", "imput=rank.npy"], ("'imput'", "did you mean 'input'")),
        (["-i", "rank.npy"], ("input 'input'", "rank 4", "rank 2")),
        (["-i", "dtype.npy"], ("input 'input'", "float32", "float64", "astype")),
        (["-i", "shape.npy"], ("input 'input'", "expected 28", "27")),
        (["-i", "shape.npy", "-i", "other.npy"], ("input 'input'", "do not join")),
        (["-i", "nothing.npy"], ("nothing.npy", "no such file")),
        (["-i", "."], ("not a file",)),
        (["-i", "notes.txt"], ("notes.txt", "none of .npy")),
        (["-i", "bad.npy"], ("bad.npy", ".npy file cannot be read")),
        (["-i", "objects.npy"], ("objects.npy", "cannot be read")),
        (["-i", "input=bad.npz"], ("bad.npz", ".npz file cannot be read")),
        (["-i", "input=named.npz"], ("named.npz", "'a', 'b'", "'input'")),
        (["-i", "named.npz"], ("no input 'a'",)),
        (["-i", "bad.pb"], ("bad.pb", "TensorProto")),
        (["-i", "bad.png"], ("bad.png", "image cannot be read")),
        (["-i", "bag.png", "--mean", "1,2"], ("--mean", "2 values for 1 channels")),
        (["-i", "bag.png", "--layout", "NHWC"], ("--layout", "axis 3", "28")),
        (["-i", "bag.png", "--size", "20"], ("input 'input'", "expected 28", "20")),
        (["-i", "bag.png", "--top", "1", "--labels", "nothing.txt"], ("--labels", "nothing.txt", "No such file")),
        (["-i", "bag.png", "--top", "1", "--labels", "empty.txt"], ("--labels", "empty")),
        (["-i", "bag.png", "--top", "1", "--labels", "binary.txt"], ("--labels", "not text")),
        (["-i", "bag.png", "--top", "1", "--labels", "two.txt"], ("--labels", "2 labels", "10 classes")),
        (["-i", "bag.png", "-o", "nowhere/y.npz"], ("--output", "does not exist")),
        (["-i", "bag.png", "--capture", "/Rleu"], ("no tensor and no node", "/Rleu", "did you mean '/Relu'")),
    ],
    ids=lambda value: None if isinstance(value, tuple) else " ".join(value) or "nothing given",
)
def test_bad_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], fragments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(folder)
    (folder / "bag.png").write_bytes(IMAGE.read_bytes())
    _refused(["run", LENET, *arguments], fragments)


@pytest.mark.jit
def test_input_without_a_name_for_two_inputs(folder: Path) -> None:
    _refused(["run", folder / "add.onnx", "-i", folder / "rank.npy"], ("does not say which", "'a', 'b'"))


@pytest.mark.jit
def test_top_of_what_is_no_table(folder: Path) -> None:
    _refused(["run", folder / "relu.onnx", "--random", 0, "--top", 1], ("--top", "no output is [N, C]"))


@pytest.mark.jit
def test_image_for_an_input_of_rank_two(folder: Path) -> None:
    _refused(["run", folder / "add.onnx", "-i", f"a={IMAGE}"], ("rank 4", "input 'a'"))


@pytest.mark.jit
def test_tensor_file_as_input(folder: Path, tmp_path: Path) -> None:
    """The right kinds of file are read: a .pb tensor."""
    tensor = numpy_helper.from_array(np.ones((1, 4), np.float32))
    assert tensor.data_type == TensorProto.FLOAT
    (tmp_path / "a.pb").write_bytes(tensor.SerializeToString())
    feeds = ["-i", f"a={tmp_path / 'a.pb'}", "-i", f"b={tmp_path / 'a.pb'}"]
    result = cnnc("run", folder / "add.onnx", *feeds, "-o", tmp_path / "y.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "y.npz") as saved:
        assert saved["y"].tolist() == [[2, 2, 2, 2]]


def _refused(arguments: list[object], fragments: tuple[str, ...]) -> None:
    result = cnnc(*arguments)
    assert result.exit_code == 2, result.output
    assert [fragment for fragment in fragments if fragment not in result.output] == [], result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
