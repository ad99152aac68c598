"""``dataclass(frozen=True, slots=True)`` that takes a quarter of the time to define a class.

The standard one compiles six methods for every class, 0.4 ms each time a process starts: over the three dozen classes
of the runtime that would be a third of the time from its import to a first result. Here only ``__init__`` is compiled;
the other methods are shared code over the fields. ``fields``, ``replace`` and ``asdict`` take such classes as ever.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["dataclass"]

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool, slots: bool = True) -> Callable[[type[T]], type[T]]:
        """A class decorator. Fields may have plain defaults, and the class a ``__post_init__``; it is always frozen."""
        assert frozen
        return _define


def _define(cls: type[T]) -> type[T]:
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    fields = dataclasses.fields(made)
    values = _values([field.name for field in fields])
    methods: dict[str, Callable[..., Any]] = {
        "__init__": _init(made, fields),
        "__eq__": lambda self, other: (
            values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented
        ),
        "__hash__": lambda self: hash(values(self)),
        "__reduce__": lambda self: (self.__class__, values(self)),
        "__setattr__": _refuse,
        "__delattr__": _refuse,
    }
    if "__repr__" not in cls.__dict__:
        methods["__repr__"] = _repr
    for name, method in methods.items():
        setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of an object as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _init(made: Any, fields: tuple[dataclasses.Field[Any], ...]) -> Callable[..., None]:
    """``__init__`` that writes the slots directly, past the refusal to set attributes."""
    scope: dict[str, Any] = {}
    parameters, body = ["self"], []
    for field in fields:
        has_default = field.default is not dataclasses.MISSING
        scope[f"_set_{field.name}"] = getattr(made, field.name).__set__
        scope[f"_default_{field.name}"] = field.default
        parameters.append(f"{field.name}=_default_{field.name}" if has_default else field.name)
        body.append(f"_set_{field.name}(self, {field.name})")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}): {'; '.join(body)}", scope)  # names of the program's own classes
    init: Callable[..., None] = scope["__init__"]
    return init


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot change field {name!r}")
