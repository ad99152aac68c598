"""Every mistake gives one error that names the user's file, line and expression, what was expected and what was got."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnc
from cnnc import dsl
from cnnc.errors import ModelError, OptionError

HERE = Path(__file__).name
SHAPE = (1, 8, 6, 6)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def build(network: dsl.Network, shape: dsl.Input | tuple[Any, ...] = SHAPE) -> dsl.Model:
    return dsl.model(network, shape)


def check(error: ModelError, line: int, expression: str, *fragments: str) -> None:
    """The place is this file's line with its expression, and the message holds the fragments."""
    assert f"{HERE}:{line}: {expression}" in error.where
    assert len(str(error).splitlines()) <= 2
    for fragment in fragments:
        assert fragment in f"{error.what} {error.hint}"


# ---- in the line of a call ------------------------------------------------------------------------------------------

CALLS: list[tuple[Callable[[Any], Any], str, tuple[str, ...]]] = [
    # Channels and ranks that do not match.
    (lambda x: dsl.Conv2d(3, 8, 3)(x), "dsl.Conv2d(3, 8, 3)(x)", ("takes 3 input channels, got 8", "f32[1, 8, 6, 6]")),
    (lambda x: dsl.conv(x, zeros(4, 3, 3, 3)), "dsl.conv(x, zeros(4, 3, 3, 3))", ("has 8 channels", "take 3")),
    (lambda x: dsl.conv(x, zeros(8, 8)), "dsl.conv(x, zeros(8, 8))", ("[OC, IC/groups, kernel...]", "got f32[8, 8]")),
    (lambda x: dsl.Conv1d(8, 8, 3)(x), "dsl.Conv1d(8, 8, 3)(x)", ("rank 3", "got f32[1, 8, 6, 6]")),
    (lambda x: dsl.BatchNorm(7)(x), "dsl.BatchNorm(7)(x)", ("takes 7 channels, got 8",)),
    (lambda x: dsl.InstanceNorm(7)(x), "dsl.InstanceNorm(7)(x)", ("takes 7 channels, got 8",)),
    (lambda x: dsl.GroupNorm(2, 4)(x), "dsl.GroupNorm(2, 4)(x)", ("takes 4 channels, got 8",)),
    (lambda x: dsl.LayerNorm(7)(x), "dsl.LayerNorm(7)(x)", ("last sizes are [7]", "got f32[1, 8, 6, 6]")),
    (lambda x: dsl.PReLU(5)(x), "dsl.PReLU(5)(x)", ("takes 5 channels, got 8",)),
    (lambda x: dsl.Linear(7, 2)(x), "dsl.Linear(7, 2)(x)", ("takes 7 features, got 6", "flatten")),
    (lambda x: x @ zeros(5, 5), "x @ zeros(5, 5)", ("f32[1, 8, 6, 6]", "6 against 5")),
    (lambda x: dsl.max_pool(dsl.flatten(x), 2), "dsl.max_pool(dsl.flatten(x), 2)", ("[N, C, spatial...]", "[1, 288]")),
    # Windows that do not fit.
    (lambda x: dsl.Conv2d(8, 8, 9, padding=1)(x), "dsl.Conv2d(8, 8, 9, padding=1)(x)", ("window of 9", "size 6")),
    (lambda x: dsl.max_pool(x, 7), "dsl.max_pool(x, 7)", ("window of 7", "size 6")),
    (lambda x: dsl.conv_transpose(x, zeros(8, 4, 1, 1), padding=4), "dsl.conv_transpose(", ("size -2", "4 and 4")),
    (lambda x: dsl.max_pool(x, 2, stride=0), "dsl.max_pool(x, 2, stride=0)", ("stride=0", "at least 1")),
    (lambda x: dsl.max_pool(x, (2, 2, 2)), "dsl.max_pool(x, (2, 2, 2))", ("3 numbers for 2 spatial axes",)),
    (lambda x: dsl.max_pool(x, 2.5), "dsl.max_pool(x, 2.5)", ("kernel=2.5", "integers")),
    (lambda x: dsl.max_pool(x, 2, padding="full"), 'dsl.max_pool(x, 2, padding="full")', ("'full'", '"same"')),
    (lambda x: dsl.max_pool(x, 2, padding=(1, 1, 1)), "dsl.max_pool(x, 2, padding=(1, 1, 1))", ("3 entries for 2",)),
    (lambda x: dsl.max_pool(x, 2, padding=[(1, 1, 1), 0]), "dsl.max_pool(x, 2, padding=[(1, 1, 1), 0])", ("pair",)),
    (lambda x: dsl.max_pool(x, 2, padding=-1), "dsl.max_pool(x, 2, padding=-1)", ("padding=-1", "at least 0")),
    # Groups and factors that do not divide.
    (lambda x: dsl.Conv2d(8, 9, 3, groups=2)(x), "dsl.Conv2d(8, 9, 3, groups=2)", ("out_channels=9", "groups=2")),
    (lambda x: dsl.conv(x, zeros(4, 4, 3, 3), groups=3), "dsl.conv(", ("8 channels", "group 3")),
    (lambda x: dsl.channel_shuffle(x, 3), "dsl.channel_shuffle(x, 3)", ("8 channels", "3 groups")),
    (lambda x: dsl.pixel_shuffle(x, 3), "dsl.pixel_shuffle(x, 3)", ("8 channels", "9")),
    (lambda x: dsl.GroupNorm(3, 8)(x), "dsl.GroupNorm(3, 8)", ("8 channels", "groups=3")),
    (lambda x: dsl.split(x, 3), "dsl.split(x, 3)", ("axis 1 of f32[1, 8, 6, 6]", "3 equal parts")),
    # Shapes that do not fit together.
    (lambda x: dsl.concat([x, dsl.max_pool(x, 2)]), "dsl.concat([x, dsl.max_pool(x, 2)])", ("8, 3, 3]", "6 against 3")),
    (lambda x: x + dsl.max_pool(x, 2), "x + dsl.max_pool(x, 2)", ("[1, 8, 6, 6] and [1, 8, 3, 3]", "6 against 3")),
    (lambda x: dsl.split(x, [3, 4]), "dsl.split(x, [3, 4])", ("[3, 4]", "8")),
    (lambda x: dsl.reshape(x, (7, -1)), "dsl.reshape(x, (7, -1))", ("288 elements", "7")),
    (lambda x: dsl.reshape(x, (-1, -1)), "dsl.reshape(x, (-1, -1))", ("more than one size is open",)),
    (lambda x: dsl.reshape(x, ("N", 3)), 'dsl.reshape(x, ("N", 3))', ("'N'", "neither an integer nor a size")),
    (lambda x: x[:, 9], "x[:, 9]", ("index 9", "axis 1 of f32[1, 8, 6, 6]")),
    (lambda x: x[0, 0, 0, 0, 0], "x[0, 0, 0, 0, 0]", ("5 indices", "f32[1, 8, 6, 6]")),
    (lambda x: x[..., 0, ...], "x[..., 0, ...]", ("one ... at most",)),
    (lambda x: x[:, ::-1], "x[:, ::-1]", ("above 0, got -1",)),
    (lambda x: x[:, [1, 2]], "x[:, [1, 2]]", ("integers and slices", "[1, 2]")),
    (lambda x: dsl.pad(x, [(1, 1)] * 5), "dsl.pad(x, [(1, 1)] * 5)", ("5 widths", "f32[1, 8, 6, 6]")),
    (lambda x: dsl.softmax(x, 7), "dsl.softmax(x, 7)", ("axis 7", "rank 4")),
    # Options that do not exist.
    (lambda x: dsl.pad(x, [(1, 1)], mode="mirror"), 'dsl.pad(x, [(1, 1)], mode="mirror")', ("'mirror'", "reflect")),
    (lambda x: dsl.upsample(x, 2, mode="area"), 'dsl.upsample(x, 2, mode="area")', ("'area'", "linear or cubic")),
    (lambda x: dsl.upsample(x, -2), "dsl.upsample(x, -2)", ("-2", "above 0")),
    (lambda x: dsl.upsample(x, (2, 2, 2)), "dsl.upsample(x, (2, 2, 2))", ("3 numbers for 2",)),
    (lambda x: dsl.resize(x, 0), "dsl.resize(x, 0)", ("size=0", "at least 1")),
    (lambda x: dsl.gelu(x, "fast"), 'dsl.gelu(x, "fast")', ("'fast'", "none or tanh")),
    (lambda x: dsl.mixed_pool(x, 2, ratio=2), "dsl.mixed_pool(x, 2, ratio=2)", ("ratio=2", "between 0")),
    (lambda x: dsl.dropout(x, 1.5), "dsl.dropout(x, 1.5)", ("ratio=1.5", "below 1")),
    (lambda x: dsl.cast(x, "float99"), 'dsl.cast(x, "float99")', ("'float99'", "f32")),
    (lambda x: dsl.concat([]), "dsl.concat([])", ("no tensors",)),
    (lambda x: dsl.split(x, []), "dsl.split(x, [])", ("no parts",)),
    (lambda x: dsl.spatial_pyramid_pool(x, []), "dsl.spatial_pyramid_pool(x, [])", ("at least one level",)),
    (lambda x: dsl.Conv2d(0, 8, 3)(x), "dsl.Conv2d(0, 8, 3)", ("in_channels=0", "at least 1")),
    (lambda x: dsl.Parameter((0,)), "dsl.Parameter((0,))", ("[0]", "positive integers")),
    (lambda x: dsl.Sequential(3)(x), "dsl.Sequential(3)", ("step 0 is int", "a module or a function")),
    # Things that are no tensors of this network.
    (lambda x: dsl.relu(zeros(1, 2)), "dsl.relu(zeros(1, 2))", ("got ndarray", "dsl.model(network, inputs)")),
    (lambda x: dsl.Conv2d(8, 8, 3)(zeros(*SHAPE)), "dsl.Conv2d(8, 8, 3)(zeros(*SHAPE))", ("got ndarray",)),
    (lambda x: x + "a", 'x + "a"', ("got str",)),
    (lambda x: x + np.zeros(6), "x + np.zeros(6)", ("element types", "f32, f64")),
    (lambda x: -x if x > 0 else x, "x > 0", ("neither true nor false", "dsl.where")),
    (lambda x: list(x), "list(x)", ("cannot be looped over", "dsl.split")),
    # Names.
    (lambda x: dsl.name(dsl.name(-x, "a") * 2, "a"), 'dsl.name(dsl.name(-x, "a") * 2, "a")', ("'a' is used twice",)),
    (lambda x: dsl.name(x + 1, "x"), 'dsl.name(x + 1, "x")', ("'x' is that of an input",)),
    (lambda x: dsl.name(x + 1, ""), 'dsl.name(x + 1, "")', ("must not be empty",)),
]  # fmt: skip


@pytest.mark.parametrize(("network", "expression", "fragments"), CALLS, ids=[expression for _, expression, _ in CALLS])
def test_the_line_of_the_call_is_named(network: Any, expression: str, fragments: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as raised:
        build(network)
    check(raised.value, network.__code__.co_firstlineno, expression, *fragments)


def test_numbers_that_a_tensors_type_cannot_hold() -> None:
    with pytest.raises(ModelError, match=r"x / 255\.0: .*u8.* 255\.0 is a float"):
        build(lambda x: x / 255.0, dsl.Input(1, 2, dtype="uint8"))
    with pytest.raises(ModelError, match=r"x \+ 300: .*u8.*cannot hold 300"):
        build(lambda x: x + 300, dsl.Input(1, 2, dtype="uint8"))


def test_an_open_size_where_a_number_is_needed() -> None:
    with pytest.raises(ModelError, match=r"dsl\.adaptive_avg_pool\(x, 2\): axis 2 of .* is open"):
        build(lambda x: dsl.adaptive_avg_pool(x, 2), ("N", 8, "H", "W"))
    with pytest.raises(ModelError, match=r"open number of channels"):
        build(lambda x: dsl.conv(x, zeros(x.channels, 1, 1)), (1, "C", 8))
    with pytest.raises(ModelError, match=r"has no axis 5"):
        build(lambda x: dsl.reshape(x, (x.size(5),)))


# ---- where a layer was written --------------------------------------------------------------------------------------


class Stack(dsl.Module):
    """Two convolutions, the second of which does not fit the first."""

    def __init__(self) -> None:
        self.first = dsl.Conv2d(8, 16, 3)
        self.second = dsl.Conv2d(32, 8, 3)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Fails in its second line."""
        x = self.first(x)
        return self.second(x)


def test_a_layer_names_its_path_its_call_and_where_it_was_written() -> None:
    init = inspect.getsourcelines(Stack.__init__)[1]
    forward = inspect.getsourcelines(Stack.forward)[1]
    with pytest.raises(ModelError) as raised:
        build(dsl.Sequential(stem=Stack()))
    check(raised.value, forward + 3, "self.second(x)", "Conv2d 'stem.second' takes 32 input channels, got 16")
    check(raised.value, init + 2, "dsl.Conv2d(32, 8, 3)")


def test_a_step_of_a_sequential_names_where_it_was_written() -> None:
    def stem() -> dsl.Sequential:
        return dsl.Sequential(
            dsl.Conv2d(8, 16, 3),
            dsl.relu,
            dsl.MaxPool(5),
        )

    with pytest.raises(ModelError) as raised:
        build(stem())
    line = inspect.getsourcelines(stem)[1] + 4
    assert raised.value.where.endswith(f"{HERE}:{line}: dsl.MaxPool(5))")
    assert "max_pool '2': a window of 5" in raised.value.what


def test_networks_of_the_library_name_the_users_line_too() -> None:
    from cnnc.models.lenet import LeNet5

    with pytest.raises(ModelError) as raised:
        dsl.model(LeNet5(), (1, 3, 28, 28))
    assert "lenet.py:" in raised.value.where
    assert "called from" in raised.value.where
    assert HERE in raised.value.where
    assert "'conv1' takes 1 input channels, got 3" in raised.value.what


# ---- networks, inputs and outputs -----------------------------------------------------------------------------------


class Loop(dsl.Module):
    """Contains itself."""

    def __init__(self) -> None:
        self.parts = [self]

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Nothing."""
        return x


class SameName(dsl.Module):
    """Two parts with one path."""

    def __init__(self) -> None:
        self.a = [dsl.Linear(8, 8)]
        setattr(self, "a.0", dsl.Linear(8, 8))

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Nothing."""
        return x


class NamedAsInput(dsl.Module):
    """A parameter called like the input."""

    def __init__(self) -> None:
        self.x = dsl.Parameter((1,), dsl.ones)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x twice."""
        return x * self.x


class Silent(dsl.Module):
    """Has no forward."""


NETWORKS: list[tuple[Callable[[], Any], tuple[str, ...]]] = [
    (lambda: dsl.model(Loop(), SHAPE), ("Loop 'parts.0' contains itself", "tree")),
    (lambda: dsl.model(SameName(), SHAPE), ("two parts are called 'a.0'",)),
    (lambda: dsl.model(Silent(), SHAPE), ("Silent has no method forward", "write forward")),
    (lambda: dsl.model(lambda a, b: a + b, SHAPE), ("the 1 inputs x", "'b'")),
    (lambda: dsl.model(dsl.relu, {"a": SHAPE, "b": SHAPE}), ("relu does not take the 2 inputs a, b",)),
    (lambda: dsl.model(dsl.relu, {}), ("at least one input",)),
    (lambda: dsl.model(dsl.relu, (1, 0)), ("input 'x'", "size 0 of axis 1")),
    (lambda: dsl.model(dsl.relu, (1, "two words")), ("'two words' of axis 1",)),
    (lambda: dsl.model(dsl.relu, dsl.Input(1, dtype="float99")), ("'float99'",)),
    (lambda: dsl.model(lambda x: None, SHAPE), ("the network returned nothing", "return a tensor")),
    (lambda: dsl.model(lambda x: [], SHAPE), ("the network returned nothing",)),
    (lambda: dsl.model(lambda x: 3, SHAPE), ("a value of type int",)),
    (lambda: dsl.model(lambda x: {"a": zeros(3)}, SHAPE), ("output 'a' is ndarray",)),
    (lambda: dsl.model(lambda x: [x, None], SHAPE), ("output 'output_1' is NoneType",)),
]


@pytest.mark.parametrize(("make", "fragments"), NETWORKS, ids=[fragments[0] for _, fragments in NETWORKS])
def test_a_model_names_the_line_that_makes_it(make: Any, fragments: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as raised:
        make()
    check(raised.value, make.__code__.co_firstlineno, "dsl.model(", *fragments)


def test_a_parameter_called_like_an_input() -> None:
    with pytest.raises(ModelError, match=r"x \* self\.x: the parameter 'x' has the name of another tensor"):
        build(NamedAsInput())


def test_a_tensor_of_another_model() -> None:
    kept: list[dsl.Tensor] = []

    def keep(x: dsl.Tensor) -> dsl.Tensor:
        kept.append(x)
        return x + 1

    build(keep)
    with pytest.raises(ModelError, match=r"x \+ kept\[0\]: a tensor of another model"):
        build(lambda x: x + kept[0])


# ---- numbers --------------------------------------------------------------------------------------------------------


def test_a_model_without_numbers_is_refused_where_they_are_needed() -> None:
    network = dsl.Sequential(up=dsl.ConvTranspose2d(8, 4, 2), down=dsl.Conv2d(4, 8, 3))
    model = dsl.model(network, SHAPE, init=None)
    for use in (model.graph, model.state, lambda: cnnc.compile(model)):
        with pytest.raises(ModelError) as raised:
            use()
        assert HERE in raised.value.where
        assert "'up.weight' [8, 4, 2, 2] has no numbers" in raised.value.what
        assert "model.load(file)" in raised.value.hint


def test_numbers_of_another_name_or_shape() -> None:
    model = dsl.model(dsl.Linear(8, 4), (1, 8))
    with pytest.raises(ModelError, match=r"model\.set\('w', .*there is no parameter 'w'"):
        model.set('w', zeros(4, 8))  # fmt: skip
    with pytest.raises(ModelError, match=r"'weight' is \[4, 8\], got \[8, 4\]"):
        model.set("weight", zeros(8, 4))


def test_an_initialiser_of_another_shape() -> None:
    with pytest.raises(ModelError, match=r"initialiser of 'weight' gave \[3\] for \[4, 8\]"):
        dsl.model(dsl.Linear(8, 4, init=lambda generator, shape: zeros(3)), (1, 8)).graph()


def test_shapes_of_other_inputs_or_ranks() -> None:
    model = build(dsl.relu)
    with pytest.raises(OptionError, match=r"has no input 'y'"):
        model.graph({"y": SHAPE})
    with pytest.raises(OptionError, match=r"input 'x' has 4 axes, got \[1, 2\]"):
        model.graph({"x": (1, 2)})
    with pytest.raises(ModelError, match=r"size -1 of axis 0"):
        model.graph({"x": (-1, 8, 6, 6)})
