"""Settings that make no sense are refused, and say what would."""

from __future__ import annotations

from typing import Any

import pytest

from cnnc.errors import OptionError
from cnnc.pruning import Settings


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"sparsity": 1.0}, ["1.0", "from 0 to below 1"]),
        ({"sparsity": -0.1}, ["-0.1"]),
        ({"sparsity": float("nan")}, ["nan"]),
        ({"sparsity": 90}, ["90", "0.9"]),
        ({"ratios": (("conv1", 1.5),)}, ["conv1", "1.5"]),
        ({"sparsity": 0.5, "pattern": "block"}, ["no pattern 'block'"]),
        ({"sparsity": 0.5, "criterion": "weight"}, ["no criterion 'weight'", "magnitude"]),
        ({"sparsity": 0.5, "scope": "network"}, ["no scope 'network'", "global"]),
        ({"sparsity": 0.5, "p": 0}, ["p=0", "no norm"]),
        ({"sparsity": 0.5, "p": float("nan")}, ["p=nan"]),
        ({"sparsity": 0.5, "max_layer_sparsity": 0}, ["max_layer_sparsity=0"]),
        ({"sparsity": 0.5, "max_layer_sparsity": 1.1}, ["max_layer_sparsity=1.1"]),
        ({"sparsity": 0.9, "pattern": "2:4"}, ["2:4 removes 0.5", "not 0.9"]),
        ({"pattern": "2:4", "ratios": (("conv1", 0.5),)}, ["2:4", "every layer"]),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(OptionError) as caught:
        Settings(**settings)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_it_must_be_said_how_many_weights_go() -> None:
    with pytest.raises(OptionError, match="how many weights go"):
        Settings().check_amount()
    for settings in (Settings(0.5), Settings(pattern="2:4"), Settings(ratios=(("conv1", 0.5),))):
        settings.check_amount()


def test_the_sparsity_of_a_pattern_may_be_said() -> None:
    assert Settings(0.5, "2:4") == Settings(sparsity=0.5, pattern="2:4")
    assert Settings(0.75, "1:4").sparsity == 0.75
    assert Settings(pattern="2:4").sparsity is None
