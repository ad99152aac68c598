"""A few cases with narrower vectors: other blocks, other tilings. The target is read once a process, so in another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cnnc.errors import OptionError
from cnnc.runtime.jit.target import host_target

pytestmark = pytest.mark.jit

ROOT = Path(__file__).resolve().parents[2]
SUITE = "tests/numeric/test_suite.py::test_agrees_with_float64"
NAMES = ("batch-residual-network",)
"""Of convolutions, pools and chains, with few kernel variants."""


@pytest.mark.parametrize("target", ["avx2", pytest.param("sse", marks=pytest.mark.slow)])
def test_cases_on_a_narrower_target(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNC_TARGET", target)
    try:
        host_target()
    except OptionError as error:
        pytest.skip(str(error))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, *(f"{SUITE}[{name}-O2]" for name in NAMES)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"{len(NAMES)} passed" in done.stdout
