"""Every op against ONNX's own node tests: its reference by value, its type inference by the reference's result."""

from __future__ import annotations

import numpy as np
import pytest

from cnnc.dims import Dim, Expr, evaluate, symbol, symbols
from cnnc.errors import UnsupportedError
from cnnc.ir.fact import Fact, Operands
from cnnc.ops import OPS
from cnnc.types import DType, TensorType
from tests.ops.cases import Case, cases

_OPS = sorted(OPS)


_REFUSED = {"dropout": "training mode"}
"""Parts of ops that cnnc refuses by design, as the error calls them."""


def _cases(op: str) -> list[Case]:
    found = [case for case in cases().get(op, []) if not _is_refused(case)]
    if not found:
        pytest.skip(f"ONNX has no node test for {op}")
    return found


def _is_refused(case: Case) -> bool:
    try:
        _infer(case, _known_facts(case))
    except UnsupportedError as error:
        assert _REFUSED.get(case.op, "nothing") in str(error), case.name
        return True
    return False


def _known_facts(case: Case) -> list[Fact | None]:
    return [None if x is None else Fact(_type(x), array=x) for x in case.inputs]


def _results(case: Case) -> tuple[np.ndarray, ...]:
    return OPS[case.op].reference(case.attrs, case.inputs)


def _infer(case: Case, facts: list[Fact | None]) -> tuple[TensorType, ...]:
    return OPS[case.op].infer_types(case.attrs, Operands(facts, node="n", outputs=len(case.expected)))


def _comparable(array: np.ndarray) -> np.ndarray:
    """NumPy's comparisons know no NaN in bfloat16."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _type(array: np.ndarray) -> TensorType:
    return TensorType(array.shape, DType.of(array.dtype))


def _agrees(size: Dim, actual: int, sizes: dict[str, int]) -> bool:
    """A size computed from values is a fresh symbol, and may be anything."""
    if isinstance(size, Expr) and any(name.startswith("u_") for name in symbols(size)):
        return True
    return evaluate(size, sizes) == actual


def _check_types(case: Case, types: tuple[TensorType, ...], sizes: dict[str, int]) -> None:
    for type, result in zip(types, _results(case)):
        assert type.dtype.numpy == result.dtype, case.name
        assert type.rank == result.ndim, f"{case.name}: {type} against {result.shape}"
        ok = all(_agrees(size, actual, sizes) for size, actual in zip(type.shape, result.shape))
        assert ok, f"{case.name}: {type} against {result.shape}"


@pytest.mark.parametrize("op", _OPS)
def test_reference_gives_the_expected_values(op: str) -> None:
    for case in _cases(op):
        for result, expected in zip(_results(case), case.expected):
            if expected is None:
                continue
            assert result.dtype == expected.dtype, case.name
            np.testing.assert_allclose(
                _comparable(result),
                _comparable(expected),
                rtol=case.rtol,
                atol=case.atol,
                err_msg=case.name,
                strict=result.ndim > 0,
            )


@pytest.mark.parametrize("op", _OPS)
def test_types_from_known_operands(op: str) -> None:
    for case in _cases(op):
        _check_types(case, _infer(case, _known_facts(case)), {})


@pytest.mark.parametrize("op", _OPS)
def test_types_from_types_alone(op: str) -> None:
    for case in _cases(op):
        try:
            types = _infer(case, [None if x is None else Fact(_type(x)) for x in case.inputs])
        except UnsupportedError:
            continue
        _check_types(case, types, {})


@pytest.mark.parametrize("op", _OPS)
def test_types_from_symbolic_sizes(op: str) -> None:
    """Each size above 1 of the float operands is a symbol; integer vectors (axes, shapes) stay known.

    So does the last axis of all operands but the first: it may count coordinates, which a rank follows from.
    """
    for case in _cases(op):
        sizes: dict[str, int] = {}
        facts: list[Fact | None] = []
        for index, x in enumerate(case.inputs):
            if x is None or (x.dtype.kind in "iu" and x.ndim < 2):
                facts.append(None if x is None else Fact(_type(x), array=x))
                continue
            shape: list[Dim] = []
            for axis, size in enumerate(x.shape):
                sizes[f"s{size}"] = size
                is_known = size <= 1 or (index > 0 and axis == x.ndim - 1)
                shape.append(size if is_known else symbol(f"s{size}"))
            facts.append(Fact(TensorType(tuple(shape), DType.of(x.dtype))))
        try:
            types = _infer(case, facts)
        except UnsupportedError:
            continue
        _check_types(case, types, sizes)


@pytest.mark.parametrize("op", _OPS)
def test_folded_content_is_what_the_reference_gives(op: str) -> None:
    for case in _cases(op):
        facts = _known_facts(case)
        folded = OPS[case.op].evaluate(case.attrs, facts, _infer(case, facts))
        for known, result in zip(folded, _results(case)):
            if isinstance(known, np.ndarray):
                assert known.dtype == result.dtype, case.name
                np.testing.assert_array_equal(_comparable(known), _comparable(result), err_msg=case.name, strict=True)
