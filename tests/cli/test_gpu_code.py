"""``cnnc compile --emit`` of GPU programs: PTX, machine code and what it takes, without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnc.ir.text_file import save_graph
from cnnc.runtime.cuda import toolkit
from tests.cli.command_line import cnnc, done
from tests.cuda.test_device_executor import network

pytestmark = [
    pytest.mark.jit,
    pytest.mark.skipif(toolkit.find_program("nvdisasm") is None, reason="NVIDIA's toolkit is not installed (cuda13)"),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "network.ir"
    save_graph(network(), path)
    return path


def test_ptx_is_printed(model: Path) -> None:
    text = done("compile", model, "--target", "cuda:sm_90", "--emit", "ptx")
    kernels = [line for line in text.splitlines() if line.startswith(("// softmax{", "// pool."))]
    assert len(kernels) == 2
    # Architectures from sm_80 on share their PTX.
    assert text.count(".visible .entry kernel(") >= 2 and ".target sm_80" in text


def test_code_is_written_a_file_a_kernel(model: Path, tmp_path: Path) -> None:
    for form, start in (("ptx", b"// "), ("cubin", b"\x7fELF")):
        folder = tmp_path / form
        told = done("compile", model, "--target", "cuda:sm_80", "--emit", form, "-o", folder)
        files = sorted(folder.iterdir())
        assert files and all(file.read_bytes().startswith(start) for file in files)
        assert all(str(file) in told for file in files)


def test_statistics_of_machine_code(model: Path) -> None:
    text = done("compile", model, "--target", "cuda:sm_80", "--emit", "sass-stats")
    assert "softmax" in text and "A100" in text and "100%" in text


def test_an_architecture_that_the_assembler_does_not_know(model: Path) -> None:
    result = cnnc("compile", model, "--target", "cuda:sm_199", "--emit", "cubin", "-o", model.parent / "code")
    assert result.exit_code == 2
    assert "not for sm_199" in result.output
