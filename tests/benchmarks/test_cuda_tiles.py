"""``benchmarks/cuda_tiles.py``: layers as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnnc.runtime.cuda import kernel_def
from cnnc.runtime.kernel import Variant
from cnnc.runtime.plan import Instruction

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("kernel", "sizes", "text"),
    [
        ("conv.f32.implicit_gemm", {"XB": 8, "YB": 16, "KH": 3, "KW": 3, "SW": 2}, "3x3/2 64 -> 128, 5x6"),
        ("conv.f32.plain_input", {"C": 3, "YB": 8, "steps": 19, "SW": 1}, "19 steps, plain 3 -> 64, 5x6"),
    ],
)
def test_layers_say_what_they_are(kernel, sizes, text, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from cuda_tiles import layer_of

    known = {**sizes, "OH": 5, "OW": 6, "splits": 2}
    slots = tuple(known.get(name, 1) for name in kernel_def(kernel).args)
    layer = layer_of(Instruction(0, Variant.of(kernel), slots, 1, 1, 1, 0, 0))
    assert str(layer) == text
    assert layer.splits == (2 if "gemm" in kernel else 1)
