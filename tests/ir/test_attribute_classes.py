"""The text parser reads every op's attribute class by its annotations."""

from __future__ import annotations

import typing

import pytest
from onnx import helper

from cnnc.dims import Expr
from cnnc.frontends import import_onnx
from cnnc.ir import Notes
from cnnc.ir.text import print_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ops import OPS
from cnnc.ops.reshaping import DimsAttrs
from cnnc.passes import PassManager, parse_pipeline
from tests.frontends.model_builder import build, tensor_input


def test_annotations_resolve() -> None:
    assert Expr in typing.get_args(typing.get_args(typing.get_type_hints(DimsAttrs)["dims"])[0])


@pytest.mark.parametrize("rank", [1, 3])
def test_dims_node_round_trip(rank: int) -> None:
    nodes = [helper.make_node("Shape", ["x"], ["y"])]
    shape = ("N", "C", "L")[:rank]
    graph = import_onnx(build(nodes, [tensor_input("x", shape)], ["y"]))
    PassManager(parse_pipeline("fold-shapes")).run(graph, Notes())
    text = print_graph(graph)
    assert "dims" in text
    assert print_graph(parse_graph(text, OPS)) == text
