"""``cnnc compile`` and ``cnnc run``: a file made in one process gives the same bits in another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnnc as package
from cnnc.runtime import InferenceSession
from cnnc.runtime.artifact import open_artifact
from tests.cli.command_line import IMAGE, LABELS, LENET, ROOT, answer, cnnc, done

pytestmark = pytest.mark.jit

NORMALISED = ("--mean", "0.286", "--std", "0.353")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "lenet.cnnc"
    assert "0 on the host" in done("compile", LENET, "-o", path)
    return path


def test_precision_is_refused_without_the_cpu_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CNNC_TARGET", "sse")
    result = cnnc("compile", LENET, "-o", tmp_path / "lenet.cnnc", "--precision", "bf16")
    assert result.exit_code == 2
    assert "precision bf16 needs a CPU with AVX512-BF16" in result.output
    assert not (tmp_path / "lenet.cnnc").exists()


def test_precision_of_gpus_is_refused_for_a_cpu(tmp_path: Path) -> None:
    result = cnnc("compile", LENET, "-o", tmp_path / "lenet.cnnc", "--precision", "f16")
    assert result.exit_code == 2
    assert "precision f16 is for GPUs" in result.output and "cuda:sm_80" in result.output
    assert not (tmp_path / "lenet.cnnc").exists()


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 1, 28, 28)).astype(np.float32)


def test_fresh_process_gives_the_same_bits_without_compiler(compiled: Path, tmp_path: Path) -> None:
    feeds = images(3)
    np.save(tmp_path / "x.npy", feeds)
    expected = package.compile(LENET).run({"input": feeds})["logits"]
    arguments = ["run", str(compiled), "--input", f"input={tmp_path / 'x.npy'}", "-o", str(tmp_path / "y.npz")]
    unwanted = ("numba", "llvmlite", "onnx", "networkx", "cnnc.compiler", "cnnc.passes", "cnnc.frontends")
    code = (
        "import sys\nfrom cnnc.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        f"print('loaded', [name for name in {unwanted!r} if name in sys.modules])"
    )
    # The fixture compiled the kernels, so the cache is warm.
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "loaded []"
    with np.load(tmp_path / "y.npz") as results:
        assert results["logits"].tobytes() == expected.tobytes()


def test_image_with_labels(compiled: Path) -> None:
    text = done("run", compiled, "--input", IMAGE, *NORMALISED, "--top", 3, "--labels", LABELS)
    assert "Bag" in text.splitlines()[4]
    assert len([line for line in text.splitlines() if "%" in line]) == 3


def test_json_of_two_images_in_a_batch(compiled: Path) -> None:
    told = answer("run", compiled, "-i", IMAGE, "-i", f"input={IMAGE}", *NORMALISED, "--top", 1, "--json")
    assert told["outputs"]["logits"]["shape"] == [2, 10]
    assert [row["classes"][0]["class"] for row in told["top"]] == [8, 8]
    assert told["top"][0]["classes"][0]["probability"] > 0.9


def test_onnx_and_artifact_agree(compiled: Path, tmp_path: Path) -> None:
    for name, model in (("a", LENET), ("b", compiled)):
        done("run", model, "--random", 7, "-o", tmp_path / f"{name}.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert a["logits"].tobytes() == b["logits"].tobytes()


def test_capture(tmp_path: Path) -> None:
    told = answer("run", LENET, "--random", 0, "--capture", "/Relu_output_0", "--json")
    assert told["outputs"]["/Relu_output_0"]["shape"] == [2, 6, 28, 28]


def test_artifact_is_compiled_anew_from_its_own_graph(compiled: Path, tmp_path: Path) -> None:
    moved = tmp_path / "again.cnnc"
    done("compile", compiled, "-o", moved)
    feeds = {"input": images(2)}
    [first] = InferenceSession(compiled).run(None, feeds)
    [second] = InferenceSession(moved).run(None, feeds)
    assert first.tobytes() == second.tobytes()
    assert package.compile(compiled.read_bytes()).run(feeds)["logits"].tobytes() == first.tobytes()


def test_no_portable_is_smaller_and_cannot_be_compiled(compiled: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.cnnc"
    done("compile", LENET, "-o", small, "--no-portable")
    assert small.stat().st_size < 0.7 * compiled.stat().st_size
    assert open_artifact(small).portable() is None
    result = cnnc("compile", small, "-o", tmp_path / "other.cnnc")
    assert result.exit_code == 2
    assert "holds no graph" in result.output


def test_metadata_says_what_made_it(compiled: Path) -> None:
    meta = InferenceSession(compiled).get_modelmeta()
    assert meta.graph_name == "main_graph"
    assert meta.custom_metadata_map["level"] == "2"


def test_failed_compile_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.cnnc"
    path.write_bytes(b"old")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(LENET.read_bytes()[:1000])
    assert cnnc("compile", broken, "-o", path).exit_code == 2
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["broken.onnx", "model.cnnc"]


@pytest.mark.parametrize("level", [0, 1])
def test_levels(level: int) -> None:
    feeds = {"input": images(1)}
    expected = package.compile(LENET).run(feeds)["logits"]
    got = package.compile(LENET, level=level).run(feeds)["logits"]
    np.testing.assert_allclose(got, expected, atol=1e-4)
