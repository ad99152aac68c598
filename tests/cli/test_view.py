"""cnnc view: files, what is said of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import IMAGE, LENET, answer, cnnc, done

PIXELS = ("--mean", "0.286", "--std", "0.353")


def test_kernels_need_no_input(tmp_path: Path) -> None:
    text = done("view", LENET, "-o", tmp_path / "pictures")
    assert "activations need --input" in text
    files = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert files[0] == "001_c1_Conv_kernels.png"
    assert files[-1] == "index.html"
    assert len(files) == 6


@pytest.mark.jit
def test_kernels_and_activations_in_order_of_the_network(tmp_path: Path) -> None:
    told = answer("view", LENET, "-i", f"input={IMAGE}", *PIXELS, "-o", tmp_path, "--json")
    assert [(each["layer"], each["what"]) for each in told][:4] == [
        ("/c1/Conv", "kernels"),
        ("/Relu", "activations"),
        ("/c2/Conv", "kernels"),
        ("/Relu_1", "activations"),
    ]
    assert all(Path(each["file"]).read_bytes().startswith(b"\x89PNG") for each in told)
    assert told[-1]["shape"] == [1, 10]


@pytest.mark.jit
def test_one_layer_at_most_so_many_channels(tmp_path: Path) -> None:
    told = answer(
        "view",
        LENET,
        "--random",
        0,
        "--layer",
        "c2",
        "--max-channels",
        4,
        "--what",
        "activations",
        "-o",
        tmp_path,
        "--json",
    )
    assert [(each["layer"], each["left_out"]) for each in told] == [("/c2/Conv", "12 of 16 channels")]


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--what", "activations"], ("--what", "activations need an input")),
        (["--layer", "/c1/Cnov"], ("no layer and no tensor called '/c1/Cnov'", "did you mean", "/c1/Conv")),
        (["--layer", "/Relu"], ("--layer", "nothing to draw")),
        (["-o", "nowhere/pictures"], ("--output", "does not exist")),
        (["-o", "here.png"], ("--output", "is no folder")),
        (["--random", 0, "--sample", 5, "--input", f"input={IMAGE}"], ("no sample 5 among 1",)),
    ],
    ids=lambda value: " ".join(map(str, value[:2])),
)
def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[object], fragments) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.png").touch()
    result = cnnc("view", LENET, *arguments)
    assert result.exit_code == 2, result.output
    assert all(fragment in result.stderr for fragment in fragments), result.stderr
