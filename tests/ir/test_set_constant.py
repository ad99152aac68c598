"""A constant takes other elements of its type, and what was known of values behind it follows."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.errors import InternalError
from cnnc.ir import Graph, known_array
from cnnc.ops import OPS
from cnnc.types import DType, TensorType


def test_what_is_known_follows() -> None:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((3,), DType.F32))
    constant = graph.add_constant(np.array([1, 2, 3], np.float32), "c")
    other = graph.add_node("identity", [constant]).output
    product = graph.add_node("mul", [other, constant]).output
    graph.set_outputs([graph.add_node("add", [x, product]).output], ["y"])
    graph.set_constant(constant, np.array([0, 4, 5], np.float32))
    known = known_array(product)
    assert known is not None
    assert known.tolist() == [0, 16, 25]
    assert constant.array is not None
    assert not constant.array.flags.writeable


def test_its_type_stays() -> None:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((3,), DType.F32))
    constant = graph.add_constant(np.zeros(3, np.float32), "c")
    for value, array in ((constant, np.zeros(3)), (constant, np.zeros(2, np.float32)), (x, np.zeros(3, np.float32))):
        with pytest.raises(InternalError, match="cannot become"):
            graph.set_constant(value, array)
