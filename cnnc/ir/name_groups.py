"""Which module of the source model a node belongs to, by its name."""

from __future__ import annotations

import re

_SOURCE = re.compile(r" \([^()]+:\d+\)$")
"""What ``cnnc.dsl`` writes behind a name: file and line."""


def group_of(name: str) -> str:
    """The path of modules in a node's name, without the node itself: ``layer1/0/conv1``.

    PyTorch writes ``/layer1/layer1.0/conv1/Conv``, where each module repeats the names of those around it;
    ``cnnc.dsl`` writes ``layer1.0.conv1 (net.py:12)``, where the last part is the node.

    Returns:
        "" for a name without a path.
    """
    plain = _SOURCE.sub("", name)
    if "/" not in plain:
        return "/".join(plain.split(".")[:-1])
    path: list[str] = []
    around = ""
    for part in [part for part in plain.split("/") if part][:-1]:
        path += (part.removeprefix(f"{around}.") if around else part).split(".")
        around = part
    return "/".join(path)
