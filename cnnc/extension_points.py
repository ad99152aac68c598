"""Extension points: where other packages add ops, passes, kernels and more, by name.

A package offers things under the entry-point groups that are listed in ``docs/extending.md``, one thing a name::

    [project.entry-points."cnnc.passes"]
    fuse-hard-gate = "hard_gate.fuse_hard_gate:FuseHardGate"

An installed thing is imported when its name is asked for, so a package that is not used costs nothing. Scripts and
notebooks, which are no packages, register things in their own process. What cnnc has itself cannot be replaced: a name
of its own that a package offers too is refused, and so is one that two packages offer.
(Entry points: PyPA, Entry points specification.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import cache
from typing import Any, Generic, TypeVar

from cnnc.errors import OptionError, UserError
from cnnc.frozen_dataclass import dataclass

T = TypeVar("T")

SWITCH = "CNNC_EXTENSIONS"


class ExtensionError(UserError):
    """An installed package offers cnnc something that cannot be loaded, does not fit, or has a name that is taken."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a package says of one thing that it offers."""

    name: str
    package: str
    version: str
    place: str
    """``module:attribute``"""
    load: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.name!r} of package {self.package} ({self.place})"


class ExtensionPoint(Generic[T]):
    """One kind of thing that packages add.

    Args:
        group: the entry-point group.
        what: what a thing of this group is called in messages.
        refusal: one sentence why an object is no such thing of that name, or None.
        own: the names that cnnc has itself.
    """

    def __init__(
        self,
        group: str,
        what: str,
        refusal: Callable[[str, Any], str | None],
        own: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.group = group
        self.what = what
        self._refusal = refusal
        self._own = own
        self._registered: dict[str, T] = {}
        self._loaded: dict[str, T] = {}
        _POINTS[group] = self

    def register(self, name: str, thing: T) -> T:
        """Add a thing in this process only; returns it. The same thing may be registered again.

        Raises:
            OptionError: it is no thing of this kind, or the name is taken.
        """
        reason = self._refusal(name, thing)
        if reason is not None:
            raise OptionError(reason, where=f"{self.what} {name!r}", hint="docs/extending.md says what is expected")
        taken = name in self._own() or name in _offers(self.group)
        if taken or self._registered.get(name, thing) is not thing:
            raise OptionError(f"there is a {self.what} of this name already", where=name, hint="give it another name")
        self._registered[name] = thing
        return thing

    def unregister(self, name: str) -> None:
        """Take back what ``register`` added; a name that was not added is left alone."""
        self._registered.pop(name, None)

    def is_registered_here(self, name: str) -> bool:
        """Whether only this process knows the name: child processes find what packages offer, and no more."""
        return name in self._registered

    def names(self) -> tuple[str, ...]:
        """Names of all things that were added, sorted.

        Raises:
            ExtensionError: an offered name is taken.
        """
        for name in _offers(self.group):
            self._offer(name)
        return tuple(sorted({*self._registered, *_offers(self.group)}))

    def find(self, name: str) -> T | None:
        """The thing of that name, or None where nobody offers it.

        Raises:
            ExtensionError: it cannot be loaded, or is no such thing.
        """
        if name in self._registered:
            return self._registered[name]
        if name not in _offers(self.group):
            return None
        if name not in self._loaded:
            self._loaded[name] = self._load(self._offer(name))
        return self._loaded[name]

    def all(self) -> dict[str, T]:
        """Everything that was added, by name, in alphabetical order; all of it is loaded."""
        found = {name: self.find(name) for name in self.names()}
        return {name: thing for name, thing in found.items() if thing is not None}

    def known(self) -> dict[str, Offer | None]:
        """All names with the first offer of each, None for what this process registered; nothing is checked."""
        return dict.fromkeys(self._registered) | {name: rivals[0] for name, rivals in _offers(self.group).items()}

    def _offer(self, name: str) -> Offer:
        """The only offer of a name that is not cnnc's own."""
        offer, *rivals = _offers(self.group)[name]
        if name in self._own():
            raise self._error(name, f"cnnc has a {self.what} of this name itself")
        if rivals:
            raise self._error(name, f"package {rivals[0].package} offers a {self.what} of this name too")
        return offer

    def _load(self, offer: Offer) -> T:
        try:
            thing: T = offer.load()
        except Exception as error:  # a foreign module runs here: whatever it raises is its fault
            raise self._error(offer.name, f"it cannot be loaded: {type(error).__name__}: {error}") from error
        reason = self._refusal(offer.name, thing)
        if reason is not None:
            raise self._error(offer.name, reason)
        return thing

    def _error(self, name: str, what: str) -> ExtensionError:
        offer = _offers(self.group)[name][0]
        return ExtensionError(
            what,
            where=f"{self.what} {offer}",
            hint=f"mend or uninstall {offer.package}, or set {SWITCH}=0 to do without all extensions",
        )


_POINTS: dict[str, ExtensionPoint[Any]] = {}


def extension_points() -> dict[str, ExtensionPoint[Any]]:
    """The extension points of all modules that are imported, by group."""
    return dict(sorted(_POINTS.items()))


def are_on() -> bool:
    """Whether packages are looked at: ``CNNC_EXTENSIONS`` is 1 (default) or 0.

    Raises:
        OptionError: it is something else.
    """
    text = os.environ.get(SWITCH, "1")
    if text not in ("0", "1"):
        raise OptionError(f"{SWITCH} is {text!r}; it is 0 or 1")
    return text == "1"


def look_again() -> None:
    """Forget which packages are installed: a package was installed or removed in this process."""
    _all_offers.cache_clear()
    for point in _POINTS.values():
        point._loaded.clear()


def _offers(group: str) -> dict[str, list[Offer]]:
    return _all_offers().get(group, {}) if are_on() else {}


@cache
def _all_offers() -> dict[str, dict[str, list[Offer]]]:
    """What installed packages offer to any group: one look at them serves all groups."""
    from importlib.metadata import distributions

    found: dict[str, dict[str, list[Offer]]] = {}
    seen: set[str] = set()
    for package in distributions():
        # To read the names of all packages takes ten times as long as to look for a heading in this file.
        if "[cnnc." not in (package.read_text("entry_points.txt") or ""):
            continue
        # A package that lies on the path twice is the one that is found first, as it is for import statements.
        if package.name in seen:
            continue
        seen.add(package.name)
        for point in package.entry_points:
            if point.group.startswith("cnnc."):
                offer = Offer(point.name, package.name, package.version, point.value, point.load)
                found.setdefault(point.group, {}).setdefault(point.name, []).append(offer)
    return found
