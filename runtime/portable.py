"""The portable part of an artifact: from it the compiler can make a program for any CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnnc.frozen_dataclass import dataclass


@dataclass(frozen=True)
class Portable:
    """The optimised graph and its plain weights. The runtime stores and returns both without looking inside.

    Attributes:
        graph: text of the graph, UTF-8, with weights by name.
        weights: name and array of each weight; any shape, dtypes that cnnc has.
    """

    graph: bytes
    weights: tuple[tuple[str, np.ndarray[Any, Any]], ...] = ()
