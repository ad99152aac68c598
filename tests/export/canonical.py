"""The text of a graph without what names are free to choose: two graphs with one text are the same up to names."""

from __future__ import annotations

import re

from cnnc.ir import Graph, clone_graph, print_graph
from cnnc.ir.text import constant_key

FRESH_SYMBOL = re.compile(r"\bu_\w+")
"""Sizes that only values decide are named after the node that decides them."""


def canonical_text(graph: Graph) -> str:
    """The graph's text with values numbered in the order in which nodes read and write them.

    Inputs and outputs keep their names, which callers use. Constants are named by their content, so that it does not
    matter how many copies of one there are; those that nobody reads do not count, nor where a node came from.
    """
    graph = clone_graph(graph)
    graph.name = "graph"
    graph.remove_unused_constants()
    for node in graph.nodes:
        node.loc = ()
    for index, value in enumerate(graph.values):
        if value not in graph.inputs:
            graph.rename(value, f"old {index}")
    for index, value in enumerate(result for node in graph.nodes for result in node.outputs):
        graph.rename(value, f"v{index}")
    lines = print_graph(graph).splitlines()
    keys = {f'%"{value.name}"': f"%{constant_key(value.array)}" for value in graph.constants if value.array is not None}
    named = [re.sub(r'%"old \d+"', lambda match: keys[match.group()], line) for line in lines]
    constants = sorted({line for line in named if line.startswith("  const")})
    text = "\n".join([*constants, *(line for line in named if not line.startswith("  const"))])
    symbols = {name: f"u{index}" for index, name in enumerate(dict.fromkeys(FRESH_SYMBOL.findall(text)))}
    return FRESH_SYMBOL.sub(lambda match: symbols[match.group()], text)
