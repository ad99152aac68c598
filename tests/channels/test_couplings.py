"""The union-find of channels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cnnc.channels import Couplings


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=60))
def test_classes_are_connected_components(pairs: list[tuple[int, int]]) -> None:
    couplings = Couplings()
    labels = couplings.fresh(30)
    wanted = [{index} for index in range(30)]
    for a, b in pairs:
        couplings.couple(labels[[a]], labels[[b]])
        joined = wanted[a] | wanted[b]
        for index in joined:
            wanted[index] = joined
    roots = couplings.roots(labels)
    for index in range(30):
        assert set(np.flatnonzero(roots == roots[index]).tolist()) == wanted[index]


def test_a_reason_holds_for_the_whole_class_whatever_comes_first() -> None:
    couplings = Couplings()
    a, b, c = (couplings.fresh(2) for _ in range(3))
    couplings.pin(a[:1], "first")
    couplings.couple(b, a)
    couplings.couple(b, c)
    couplings.pin(c, "second")
    assert couplings.pinned(np.concatenate([a, b, c])).all()
    assert couplings.reason(int(couplings.roots(c)[0])) == "first"
    assert couplings.reason(int(couplings.roots(c)[1])) == "second"


def test_many_channels() -> None:
    couplings = Couplings()
    first = couplings.fresh(3000)
    second = couplings.fresh(3000)
    couplings.couple(first, second[::-1])
    assert (couplings.roots(first) == couplings.roots(second)[::-1]).all()
    assert not couplings.pinned(first).any()
