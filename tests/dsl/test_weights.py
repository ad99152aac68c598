"""``Model.load`` and ``Model.save``: files and arrays, by name, with a report of what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnnc import dsl, interp
from cnnc.errors import ModelError, OptionError
from tests.weights.torch_files import save_state_dict

HERE = Path(__file__).name
FILES = ["w.npz", "w.safetensors", "w.pth"]


def make(*, seed: int = 0, init: dsl.Initialiser | None = dsl.kaiming_normal) -> dsl.Model:
    network = dsl.Sequential(
        conv=dsl.Conv2d(3, 4, 3), bn=dsl.BatchNorm(4), pool=dsl.GlobalAvgPool(), flat=dsl.Flatten(), fc=dsl.Linear(4, 6)
    )
    return dsl.model(network, ("N", 3, 5, 5), seed=seed, init=init)


def same(a: dsl.Model, b: dsl.Model) -> bool:
    first, second = a.state(), b.state()
    return list(first) == list(second) and all(np.array_equal(first[name], second[name]) for name in first)


def write(path: Path, model: dsl.Model) -> None:
    if path.suffix == ".pth":
        counters = {"bn.num_batches_tracked": np.array(7)}
        save_state_dict(path, {**model.state(), **counters})
    else:
        model.save(path)


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_a_model_its_numbers(tmp_path: Path, name: str) -> None:
    trained, empty = make(seed=1), make(init=None)
    write(tmp_path / name, trained)
    match = empty.load(tmp_path / name)
    assert match.is_complete
    assert same(empty, trained)
    x = {"x": np.ones((1, 3, 5, 5), np.float32)}
    results = [interp.run(model.graph(), x)["output"] for model in (empty, trained)]
    np.testing.assert_array_equal(*results)


def test_arrays_by_name_do_as_well() -> None:
    trained, other = make(seed=1), make(seed=2)
    assert other.load(trained.state()).is_complete
    assert same(other, trained)


def test_numbers_take_the_parameters_type() -> None:
    model = make()
    model.load({name: array.astype(np.float64) for name, array in make(seed=1).state().items()})
    assert {array.dtype for array in model.state().values()} == {np.dtype(np.float32)}


def test_wrappers_are_taken_off_and_names_mapped() -> None:
    trained, other = make(seed=1), make(seed=2)
    match = other.load({f"module.{name}": array for name, array in trained.state().items()})
    assert match.stripped == "module."
    assert same(other, trained)
    renamed = {name.replace("fc.", "head."): array for name, array in trained.state().items()}
    other = make(seed=2)
    other.load(renamed, rename={"head.": "fc."})
    assert same(other, trained)
    with pytest.raises(OptionError, match="no tensor 'tail'"):
        other.load(renamed, rename={"tail": "fc"})


def misfit() -> dict[str, np.ndarray]:
    """A tensor is missing, one is too many, one is transposed."""
    state = make(seed=1).state()
    del state["bn.bias"]
    return {**state, "fc.weight": state["fc.weight"].T, "extra": np.zeros(3, np.float32)}


def test_what_does_not_fit_is_refused_whole() -> None:
    model, before = make(seed=2), make(seed=2)
    with pytest.raises(ModelError) as raised:
        model.load(misfit())
    error = raised.value
    assert f"{HERE}:" in error.where
    assert "model.load(misfit())" in error.where
    for fragment in (
        "6 of 8 weights match",
        "1 missing in the file:\n    bn.bias",
        "1 not in the model:\n    extra",
        "fc.weight: expected [6, 4], got [4, 6], which is transposed",
    ):
        assert fragment in error.what
    assert "strict=False" in error.hint
    assert same(model, before)


def test_what_fits_is_taken_without_strict() -> None:
    model, trained, before = make(seed=2), make(seed=1), make(seed=2)
    match = model.load(misfit(), strict=False)
    assert match.missing == ("bn.bias",)
    assert match.unexpected == ("extra",)
    assert [part.name for part in match.misshaped] == ["fc.weight"]
    state = model.state()
    np.testing.assert_array_equal(state["conv.weight"], trained.state()["conv.weight"])
    np.testing.assert_array_equal(state["fc.weight"], before.state()["fc.weight"])


def test_a_model_without_all_its_numbers_is_neither_built_nor_saved(tmp_path: Path) -> None:
    model = make(init=None)
    model.load(misfit(), strict=False)
    with pytest.raises(ModelError, match=r"'fc\.weight' \[6, 4\] has no numbers"):
        model.graph()
    with pytest.raises(ModelError, match="has no numbers"):
        model.save(tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


def test_a_suffix_that_names_no_format(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.npz or \.safetensors"):
        make().save(tmp_path / "w.bin")
