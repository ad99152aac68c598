"""What cannot be compiled."""

from __future__ import annotations

import pytest

import cnnc
from cnnc import dsl
from cnnc.errors import ModelError


def test_a_graph_is_compiled_once() -> None:
    graph = dsl.model(dsl.relu, (1, 2), name="twice").graph()
    optimised = cnnc.compile(graph).optimised
    with pytest.raises(ModelError, match=r"twice: the graph was compiled before(.|\n)*clone_graph"):
        cnnc.compile(graph)
    cnnc.compile(optimised)
