"""``dataclass(frozen=True, slots=True)`` that takes a fifth of the time to define a class.

The standard one compiles six methods for every class, 0.4 ms each time a process starts: over the three dozen classes
of the runtime that would be a third of the time from its import to a first result. Here only ``__init__`` is compiled,
and the other methods are shared code over the fields. ``fields``, ``replace`` and ``asdict`` take such classes as ever;
what they look into, and the module ``dataclasses`` itself, is made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["dataclass", "replace"]

T = TypeVar("T")
_OF_INSTANCES = ("__dict__", "__weakref__")
"""What a class without slots has, and one with slots cannot take over."""

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:

    def dataclass(*, frozen: bool, slots: bool = True) -> Callable[[type[T]], type[T]]:
        """A class decorator. Fields may have plain defaults, and the class a ``__post_init__``; it is always frozen.

        The class inherits no fields, and its methods do without ``super()``: it is a copy that has slots.
        """
        assert frozen
        return _define

    def replace(instance: T, **changes: Any) -> T:
        """A copy with other values in the fields that ``changes`` names."""
        fields = {name: getattr(instance, name) for name in instance.__match_args__}
        return type(instance)(**{**fields, **changes})


def _define(cls: type[T]) -> type[T]:
    names = tuple(cls.__annotations__)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    values = _values(names)
    made: Any = type(
        cls.__name__,
        cls.__bases__,
        {
            "__repr__": lambda self: _repr(self, names),
            **{key: value for key, value in cls.__dict__.items() if key not in (*names, *_OF_INSTANCES)},
            "__slots__": names,
            "__match_args__": names,
            "__qualname__": cls.__qualname__,
            "__dataclass_fields__": _Fields(cls.__annotations__, defaults),
            "__eq__": lambda self, other: (
                values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented
            ),
            "__hash__": lambda self: hash(values(self)),
            "__reduce__": lambda self: (self.__class__, values(self)),
            "__setattr__": _refuse,
            "__delattr__": _refuse,
        },
    )
    made.__init__ = _init(made, names, defaults)
    return made  # type: ignore[no-any-return]


class _Fields:
    """What ``dataclasses.fields`` and the like look for on a class: made the first time."""

    def __init__(self, annotations: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self._namespace = {"__annotations__": dict(annotations), **defaults}

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses

        standard: Any = dataclasses.dataclass(type(owner.__name__, (), dict(self._namespace)))
        fields = standard.__dataclass_fields__
        type.__setattr__(owner, "__dataclass_fields__", fields)
        return fields


def _values(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """All fields of an object as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple(getattr(self, name) for name in names)


def _init(made: Any, names: tuple[str, ...], defaults: Mapping[str, Any]) -> Callable[..., None]:
    """``__init__`` that writes the slots directly, past the refusal to set attributes."""
    scope: dict[str, Any] = {}
    parameters, body = ["self"], []
    for name in names:
        scope[f"_set_{name}"] = getattr(made, name).__set__
        scope[f"_default_{name}"] = defaults.get(name)
        parameters.append(f"{name}=_default_{name}" if name in defaults else name)
        body.append(f"_set_{name}(self, {name})")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}): {'; '.join(body) or 'pass'}", scope)  # names of our own classes
    init: Callable[..., None] = scope["__init__"]
    return init


def _repr(self: Any, names: tuple[str, ...]) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, value: Any = None) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot change field {name!r}")
