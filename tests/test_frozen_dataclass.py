"""Classes of ``cnnc.frozen_dataclass`` are what the standard decorator makes, told by example."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from cnnc.frozen_dataclass import dataclass, replace


@dataclass(frozen=True, slots=True)
class Point:
    """Two fields, one with a default."""

    x: int
    y: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@dataclass(frozen=True, slots=True)
class Other:
    """The same fields under another name."""

    x: int
    y: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class One:
    """A single field."""

    value: Any


def test_compared_and_hashed_by_fields() -> None:
    assert Point(1) == Point(1, (0,)) != Point(2)
    assert Point(1) != Other(1)
    assert {Point(1): "a"}[Point(x=1, y=(0,))] == "a"
    assert One(3) == One(3)
    assert hash(One(3)) == hash(One(3))
    with pytest.raises(TypeError):
        hash(One([]))


def test_immutable_and_without_other_attributes() -> None:
    point: Any = Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x"), lambda: setattr(point, "z", 2)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert not hasattr(point, "__dict__")


def test_arguments_and_checks() -> None:
    arguments: list[tuple[Any, ...]] = [(), (1, 2, 3)]
    for each in arguments:
        with pytest.raises(TypeError):
            Point(*each)
    with pytest.raises(ValueError, match="negative"):
        Point(-1)


def test_the_functions_of_dataclasses_take_it() -> None:
    assert dataclasses.replace(Point(1), y=(5,)) == Point(1, (5,))
    with pytest.raises(ValueError, match="negative"):
        dataclasses.replace(Point(1), x=-1)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": (0,)}
    assert [field.name for field in dataclasses.fields(Point)] == ["x", "y"]
    assert repr(One("a")) == "One(value='a')"
    match Point(1):
        case Point(x, y):
            assert (x, y) == (1, (0,))


def test_replace() -> None:
    assert replace(Point(1), y=(5,)) == Point(1, (5,))
    assert replace(Point(1)) == Point(1)
    with pytest.raises(ValueError, match="negative"):
        replace(Point(1), x=-1)
    with pytest.raises(TypeError):
        replace(Point(1), z=1)


def test_copied_and_pickled() -> None:
    point = Point(4, (1, 2))
    assert copy.deepcopy(point) == copy.copy(point) == pickle.loads(pickle.dumps(point)) == point
