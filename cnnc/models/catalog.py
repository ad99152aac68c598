"""The list of all networks: what each is, its standard input, and what was published of it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnnc.errors import OptionError
from cnnc.frontends.dsl.initialisers import Initialiser, kaiming_normal
from cnnc.frontends.dsl.inputs import Input
from cnnc.frontends.dsl.model import Model
from cnnc.frontends.dsl.model import model as make_model
from cnnc.frontends.dsl.module import Network

_FAMILIES = (
    "lenet",
    "alexnet",
    "zfnet",
    "vgg",
    "googlenet",
    "inception_v3",
    "resnet",
    "resnet_preact",
    "se_resnet",
    "cbam",
    "densenet",
    "squeezenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3",
    "shufflenet_v1",
    "shufflenet_v2",
    "xception",
    "efficientnet",
    "sppnet",
    "unet",
    "unet3d",
    "fcn",
    "deeplab",
    "dncnn",
    "srcnn",
    "espcn",
    "yolo",
    "multitask",
    "ct3d",
    "radar1d",
)
"""Modules of this package, each with a tuple ``MODELS`` of its entries, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A network of the list.

    Attributes:
        name: as the command line has it.
        title: what it is, in a few words.
        network: makes the module or function, anew for each call.
        inputs: standard shapes by input name; the batch is open.
        parameters: trainable numbers, as published or as the widely used implementation has them.
        macs: multiply-accumulates for one standard input.
        source: the paper, and where the counts are from.
    """

    name: str
    title: str
    network: Callable[[], Network]
    inputs: Mapping[str, Input]
    parameters: int
    macs: int
    source: str

    def model(self, *, seed: int = 0, init: Initialiser | None = kaiming_normal) -> Model:
        """The network with its standard inputs, see ``dsl.model``."""
        return make_model(self.network(), self.inputs, name=self.name, seed=seed, init=init)


def image(*sizes: int, channels: int = 3, name: str = "x") -> Mapping[str, Input]:
    """One input [N, channels, sizes...]."""
    return MappingProxyType({name: Input("N", channels, *sizes)})


def entries() -> tuple[Entry, ...]:
    """All networks, family by family."""
    modules = [importlib.import_module(f"cnnc.models.{family}") for family in _FAMILIES]
    return tuple(entry for module in modules for entry in module.MODELS)


def find(name: str) -> Entry:
    """The network of that name.

    Raises:
        OptionError: there is none; close names are told.
    """
    known = {entry.name: entry for entry in entries()}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "`cnnc models` lists them"
        raise OptionError(f"there is no network called {name!r}", where="models", hint=hint)
    return known[name]


def model(name: str, *, seed: int = 0, init: Initialiser | None = kaiming_normal) -> Model:
    """The network of that name with its standard inputs.

    Args:
        seed: for random initial values.
        init: for weights; None if they will be loaded.

    Raises:
        OptionError: there is no such network.
    """
    return find(name).model(seed=seed, init=init)
