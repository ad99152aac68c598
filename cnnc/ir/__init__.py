"""The graph IR: values, nodes, facts, patches, patterns, the verifier and the text form."""

from __future__ import annotations

from cnnc.ir.attrs import NO_ATTRS, Attrs
from cnnc.ir.fact import Array, Content, Fact, Operands
from cnnc.ir.graph import Graph, Node, Value
from cnnc.ir.patch import Patch
from cnnc.ir.pattern import ANY, Bind, Const, Match, Miss, Op, known_array, match, only_use
from cnnc.ir.rewrite import Notes, Refusal, Rule, rewrite
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
    "known_array",
    "match",
    "only_use",
    "rewrite",
    "verify",
]
