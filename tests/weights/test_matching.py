"""Names and shapes of a file beside those of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc.errors import ModelError, OptionError
from cnnc.frontends.weights import Misshaped, match_weights, read_weights, write_weights

MODEL = {"conv.weight": (2, 1, 3, 3), "conv.bias": (2,), "head.weight": (4, 2), "head.bias": (4,)}


def given(shapes: dict[str, tuple[int, ...]] = MODEL, prefix: str = "") -> dict[str, np.ndarray]:
    return {prefix + name: np.full(shape, index, np.float32) for index, (name, shape) in enumerate(shapes.items())}


def test_the_same_weights_in_another_order() -> None:
    arrays = given()
    match = match_weights(MODEL, dict(reversed(arrays.items())))
    assert list(match.matched) == list(MODEL)
    assert all(match.matched[name] is array for name, array in arrays.items())
    assert match.is_complete
    assert match.report() == "4 of 4 weights match"
    match.check_complete("w.pth")


def test_everything_that_can_differ() -> None:
    arrays = given({"conv.weight": (2, 1, 3, 3), "head.weight": (2, 4), "head.bias": (5,), "fc.bias": (4,)})
    match = match_weights(MODEL, arrays)
    assert list(match.matched) == ["conv.weight"]
    assert match.missing == ("conv.bias",)
    assert match.unexpected == ("fc.bias",)
    assert match.misshaped == (Misshaped("head.weight", (4, 2), (2, 4)), Misshaped("head.bias", (4,), (5,)))
    assert not match.is_complete
    assert match.report().splitlines() == [
        "1 of 4 weights match",
        "  1 missing in the file:",
        "    conv.bias",
        "  1 not in the model:",
        "    fc.bias",
        "  2 of another shape:",
        "    head.weight: expected [4, 2], got [2, 4], which is transposed",
        "    head.bias: expected [4], got [5]",
    ]
    with pytest.raises(ModelError, match=r"w\.pth: the weights are not the model's: 1 of 4(.|\n)*rename(.|\n)*strict"):
        match.check_complete("w.pth")


def test_a_long_report_is_cut() -> None:
    lines = match_weights({f"w{index}": (1,) for index in range(30)}, {}).report().splitlines()
    assert lines[-1] == "    and 10 more"
    assert len(lines) == 23


def test_pytorchs_bookkeeping_is_neither_missing_nor_unexpected() -> None:
    assert match_weights({"bn.weight": (2,)}, given({"bn.weight": (2,), "bn.num_batches_tracked": ()})).is_complete
    assert match_weights({"bn.weight": (2,), "bn.num_batches_tracked": ()}, given({"bn.weight": (2,)})).is_complete


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "model.module."])
def test_prefixes_of_wrappers(prefix: str) -> None:
    match = match_weights(MODEL, given(prefix=prefix))
    assert match.is_complete
    assert match.stripped == prefix
    assert f"without the prefix {prefix!r}" in match.report()
    assert match_weights(MODEL, given(prefix=prefix), prefixes=()).missing == tuple(MODEL)


def test_a_prefix_that_the_model_has_too_stays() -> None:
    expected = {"model.0.weight": (2,), "model.1.weight": (3,)}
    match = match_weights(expected, given(expected))
    assert match.is_complete
    assert match.stripped == ""


def test_a_prefix_stays_where_two_tensors_would_get_one_name() -> None:
    match = match_weights({"w": (2,), "v": (2,)}, given({"module.w": (2,), "w": (2,), "module.v": (2,)}))
    assert match.stripped == ""
    assert match.missing == ("v",)
    assert match.unexpected == ("module.w", "module.v")


def test_renaming() -> None:
    arrays = given({"conv.weight": (2, 1, 3, 3), "conv.bias": (2,), "fc.weight": (4, 2), "fc.bias": (4,)})
    assert match_weights(MODEL, arrays, rename={"fc.weight": "head.weight", "fc.bias": "head.bias"}).is_complete
    assert match_weights(MODEL, arrays, rename={"fc.": "head."}).is_complete


def test_names_can_be_exchanged() -> None:
    match = match_weights({"a": (1,), "b": (2,)}, given({"a": (2,), "b": (1,)}), rename={"a": "b", "b": "a"})
    assert match.is_complete


def test_renaming_what_is_not_there() -> None:
    with pytest.raises(OptionError, match=r"no tensor 'conv\.weigth'(.|\n)*'conv\.weight'"):
        match_weights(MODEL, given(), rename={"conv.weigth": "x"})
    with pytest.raises(OptionError, match=r"no tensor '7\.'(.|\n)*list\(read_weights"):
        match_weights(MODEL, given(), rename={"7.": "x."})


def test_renaming_two_tensors_to_one_name() -> None:
    with pytest.raises(OptionError, match=r"'conv\.bias' and 'head\.bias' would both be 'conv\.bias'"):
        match_weights(MODEL, given(), rename={"head.bias": "conv.bias"})


def test_a_file(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", given(prefix="module."))
    match = match_weights(MODEL, read_weights(tmp_path / "w.safetensors"))
    assert match.is_complete
    np.testing.assert_array_equal(match.matched["head.bias"], np.full(4, 3))
