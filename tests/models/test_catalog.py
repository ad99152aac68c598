"""Every network of the list: parameters exactly, operations within 1 %, and results against the reference."""

from __future__ import annotations

import pytest

from cnnc import models
from cnnc.errors import OptionError
from cnnc.ir import verify

ENTRIES = {entry.name: entry for entry in models.entries()}


@pytest.mark.parametrize("name", ENTRIES)
def test_parameters_and_operations(name: str) -> None:
    entry = ENTRIES[name]
    model = entry.model()
    assert model.parameter_count == entry.parameters
    assert model.macs() == pytest.approx(entry.macs, rel=0.01)


def test_names_are_unique() -> None:
    assert len(ENTRIES) == len(models.entries())


def test_a_graph_keeps_the_rules() -> None:
    verify(models.model("lenet5").graph())


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(OptionError, match="did you mean lenet5"):
        models.find("lenet-5")
