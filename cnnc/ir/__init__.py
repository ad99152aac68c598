"""The graph IR: values, nodes, facts, patches, patterns, the verifier and the text form."""

from __future__ import annotations

from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.clone import clone_graph
from cnnc.ir.fact import Array, Content, Fact, Operands
from cnnc.ir.graph import Graph
from cnnc.ir.networkx_form import to_networkx
from cnnc.ir.node import Node, Value
from cnnc.ir.patch import Patch
from cnnc.ir.pattern import ANY, Bind, Const, Match, Miss, Op, known_array, match, only_use
from cnnc.ir.rewrite import Notes, Refusal, Rule, rewrite
from cnnc.ir.text import print_apart, print_graph
from cnnc.ir.text_file import dump_graph, load_graph, save_graph
from cnnc.ir.text_parser import parse_graph
from cnnc.ir.verify import STAGES, verify

__all__ = [
    "ANY",
    "NO_ATTRS",
    "STAGES",
    "Array",
    "Attrs",
    "Bind",
    "Const",
    "Content",
    "Fact",
    "Graph",
    "Match",
    "Miss",
    "Node",
    "Notes",
    "Op",
    "Operands",
    "Patch",
    "Refusal",
    "Rule",
    "Value",
    "clone_graph",
    "dump_graph",
    "known_array",
    "load_graph",
    "match",
    "only_use",
    "parse_graph",
    "print_apart",
    "print_graph",
    "rewrite",
    "save_graph",
    "to_networkx",
    "verify",
]
