"""``Module``: a part of a network with parameters and parts of its own; ``Layer`` and ``Sequential``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self, TypeAlias

from cnnc.frontends.dsl.call_site import CallSite, call_site, refusal
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Tensor
from cnnc.frontends.dsl.trace import trace_of

Network: TypeAlias = Callable[..., Any]
"""A module or a function from tensors to tensors."""


class Module:
    """A part of a network. A subclass makes its parts in ``__init__`` and uses them in ``forward``.

    Parts are found among the attributes: modules, parameters, and lists, tuples and dicts of them. Their names are the
    paths to them (``layer1.0.conv1.weight``), as PyTorch has them in its state_dict files.
    """

    forward: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What ``forward`` makes of the tensors.

        Raises:
            ModelError: there is no tensor among the arguments.
        """
        kind = type(self).__name__
        if not hasattr(self, "forward"):
            raise refusal(f"{kind} has no method forward", hint="write forward(self, x), which returns a tensor")
        trace = trace_of(*args, *kwargs.values())
        made_at = self.made_at if isinstance(self, Layer) else None
        with trace.inside(self, kind.lower(), made_at=made_at, children=partial(paths_of, self)):
            return self.forward(*args, **kwargs)

    def children(self) -> Iterator[tuple[str, Module | Parameter]]:
        """Names and parts, in the order in which they were made."""
        for name, attribute in vars(self).items():
            yield from _parts(name, attribute)


class Layer(Module):
    """A module of mostly one node; the last one bears the module's own name.

    Attributes:
        made_at: where the user wrote it, for errors that show when it is called.
    """

    made_at: CallSite

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Remembers where it was written."""
        layer = super().__new__(cls)
        layer.made_at = call_site()
        return layer


class Sequential(Module):
    """Modules and functions one after the other, called 0, 1, ... or by keyword.

    Sequential(Conv2d(3, 8, 3), relu, MaxPool(2))
    Sequential(conv=Conv2d(3, 8, 3), act=relu)
    """

    def __init__(self, *steps: Network, **named: Network) -> None:
        self.steps: dict[str, Network] = {**{str(index): step for index, step in enumerate(steps)}, **named}
        for name, step in self.steps.items():
            if not callable(step):
                raise refusal(
                    f"step {name} is {type(step).__name__}", hint="a step is a module or a function of a tensor"
                )

    def forward(self, x: Tensor) -> Any:
        """Each step takes what the one before gave."""
        for step in self.steps.values():
            x = step(x)
        return x

    def children(self) -> Iterator[tuple[str, Module | Parameter]]:
        """The steps that are modules."""
        for name, step in self.steps.items():
            yield from _parts(name, step)

    def __getitem__(self, index: int) -> Network:
        return list(self.steps.values())[index]

    def __len__(self) -> int:
        return len(self.steps)


class Apply(Layer):
    """A function as a module: ``Apply(max_pool, 3, stride=2)(x)`` is ``max_pool(x, 3, stride=2)``."""

    def __init__(self, function: Network, *args: Any, **kwargs: Any) -> None:
        self.function = partial(_from_second, function, args, kwargs)

    def forward(self, x: Any) -> Any:
        """The function of x and of the arguments given before."""
        return self.function(x)


def _from_second(function: Network, args: tuple[Any, ...], kwargs: dict[str, Any], x: Any) -> Any:
    return function(x, *args, **kwargs)


def as_layer(function: Network) -> Callable[..., Apply]:
    """The class-like form of a function: ``MaxPool = as_layer(max_pool)``, then ``MaxPool(3, stride=2)``."""
    return partial(Apply, function)


def _parts(name: str, attribute: object) -> Iterator[tuple[str, Module | Parameter]]:
    if isinstance(attribute, (Module, Parameter)):
        yield name, attribute
    elif isinstance(attribute, (list, tuple)):
        for index, item in enumerate(attribute):
            yield from _parts(f"{name}.{index}", item)
    elif isinstance(attribute, dict):
        for key, item in attribute.items():
            yield from _parts(f"{name}.{key}", item)


def paths_of(module: Module, prefix: str = "") -> dict[Module | Parameter, str]:
    """The path of each module and parameter inside ``module``; of several paths, the first.

    Raises:
        ModelError: two parts have one path, or a module contains itself.
    """
    paths: dict[Module | Parameter, str] = {}
    _walk(module, prefix, paths, ())
    taken: dict[str, object] = {}
    for part, path in paths.items():
        if path in taken:
            raise refusal(f"two parts are called {path!r}", hint="give each attribute and list a name of its own")
        taken[path] = part
    return paths


def _walk(module: Module, prefix: str, paths: dict[Module | Parameter, str], around: tuple[Module, ...]) -> None:
    around = (*around, module)
    for name, part in module.children():
        path = f"{prefix}.{name}" if prefix else name
        if part in around:
            kind = type(part).__name__
            raise refusal(f"{kind} {path!r} contains itself", hint="a network's parts must form a tree")
        if part in paths:
            continue
        paths[part] = path
        if isinstance(part, Module):
            _walk(part, path, paths, around)
