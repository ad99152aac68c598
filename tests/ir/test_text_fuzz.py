"""Damaged text: the parser gives a graph or a ModelError, never anything else, and in bounded time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnc.errors import ModelError
from cnnc.ir import verify
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
TEXTS = [path.read_text(encoding="utf-8").split("---\n")[0] for path in sorted(GOLDEN.glob("*/*.ir"))]
PIECES = [
    "%x",
    "-1",
    "0",
    "99999999999999999999",
    "nan",
    "none",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    ",",
    "=",
    "@c16",
]
_SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@_SETTINGS
@given(st.sampled_from(TEXTS), st.integers(0, 10_000), st.integers(0, 12), st.sampled_from(["", *PIECES]))
def test_damaged_text(text: str, place: int, length: int, piece: str) -> None:
    place %= len(text)
    damaged = text[:place] + piece + text[place + length :]
    try:
        graph = parse_graph(damaged, OPS)
    except ModelError as error:
        assert "line" in str(error)
        return
    verify(graph)


NETWORK = """graph "g" stage={stage} {{
  input %x: f32[N, 32, 7]{layout}
  %y: f32[N, 32, 7] = {op}(%x)
  output "y" = %y
}}
"""


@pytest.mark.parametrize(
    ("stage", "layout", "op", "what"),
    [
        ("normalised", "@c16", "relu", "%x has layout c16, but in stage normalised none is assigned"),
        ("optimised", "@c16", "relu", "%x has layout c16, but in stage optimised none is assigned"),
        ("normalised", "", "identity", "op 'identity' is not legal in stage normalised"),
    ],
)
def test_what_a_stage_rules_out_is_refused(stage: str, layout: str, op: str, what: str) -> None:
    with pytest.raises(ModelError, match="line") as caught:
        parse_graph(NETWORK.format(stage=stage, layout=layout, op=op), OPS)
    assert what in str(caught.value)


@_SETTINGS
@given(st.text(max_size=200))
def test_garbage(text: str) -> None:
    with pytest.raises(ModelError):
        parse_graph(text, OPS)
