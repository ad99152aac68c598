"""Options of ``cnnc prune`` that say which weights go, and how many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from cnnc.errors import OptionError

_CRITERIA = ("magnitude", "lp", "gradient", "taylor", "bn-scale")
_SCOPES = ("global", "layer", "lamp")


def amount_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say how many weights go; the command gets ``amount``, fields of ``pruning.Settings``."""

    @functools.wraps(command)
    def with_amount(*args: Any, ratio: tuple[str, ...], **options: Any) -> Any:
        amount = {name: options.pop(name) for name in ("sparsity", "scope", "max_layer_sparsity")}
        # Groups of channels differ so much in what they are worth that one would lose most of its channels.
        amount["scope"] = amount["scope"] or ("layer" if options["pattern"] == "channel" else "global")
        return command(*args, amount={**amount, "ratios": tuple(map(_named_ratio, ratio))}, **options)

    return _with_options(with_amount, _AMOUNT)


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say which weights go first; the command gets ``choice``, fields of ``pruning.Settings``."""

    @functools.wraps(command)
    def with_choice(*args: Any, keep_last: bool, **options: Any) -> Any:
        choice = {name: options.pop(name) for name in _AS_THEY_ARE}
        return command(*args, choice={**choice, "prune_last": not keep_last}, **options)

    return _with_options(with_choice, _CHOICE)


def channel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of whole channels; the command gets ``channel``, each None where it is not given."""

    @functools.wraps(command)
    def with_channel(*args: Any, **options: Any) -> Any:
        names = ("target_latency", "round_to", "min_channels", "threads")
        return command(*args, channel={name: options.pop(name) for name in names}, **options)

    return _with_options(with_channel, _CHANNEL)


def _with_options(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _named_ratio(text: str) -> tuple[str, float]:
    """``NAME=0.7``; the name may hold = too."""
    name, _, number = text.rpartition("=")
    try:
        ratio = float(number)
    except ValueError:
        ratio = None
    if not name or ratio is None:
        raise OptionError(f"{text!r} is no layer and its ratio", where="--ratio", hint="write NAME=0.7")
    return name, ratio


_AS_THEY_ARE = ("pattern", "criterion", "p", "exclude", "prune_first", "prune_depthwise")
"""Fields of ``Settings`` that are options of the same name."""

_AMOUNT = (
    click.option("--sparsity", type=float, metavar="RATIO", help="Share of the weights that become 0: 0.9."),
    click.option(
        "--scope",
        type=click.Choice(_SCOPES),
        help="All layers are compared together; each layer has the ratio; or weights are compared by their share of "
        "what their layer has left (LAMP). By default global; for channel layer.",
    ),
    click.option(
        "--max-layer-sparsity",
        type=float,
        default=1.0,
        show_default=True,
        metavar="RATIO",
        help="For global and lamp: no layer loses more.",
    ),
    click.option(
        "--ratio", multiple=True, metavar="NAME=RATIO", help="The ratio of a layer; * in its name is any text."
    ),
)

_CHOICE = (
    click.option(
        "--pattern",
        default="unstructured",
        show_default=True,
        metavar="PATTERN",
        help="Which weights go together: unstructured; block4: four neighbouring output channels; 2:4 or another N:M: "
        "all but N of M neighbouring input channels; channel (prune only): whole channels leave the model.",
    ),
    click.option(
        "--criterion",
        type=click.Choice(_CRITERIA),
        default="magnitude",
        show_default=True,
        help="What a weight w with the gradient g is worth: |w|, the norm of its block, |g|, |g w|, or |w| once the "
        "batch normalization behind it is folded.",
    ),
    click.option("--p", type=float, default=2.0, show_default=True, help="For lp: the exponent: 1, 2, any, inf."),
    click.option("--exclude", multiple=True, metavar="NAME", help="A layer that stays dense; * is any text."),
    click.option("--prune-first", is_flag=True, help="Prune convolutions that read the model's inputs too."),
    click.option("--keep-last", is_flag=True, help="Layers that give the model's results stay dense."),
    click.option("--prune-depthwise", is_flag=True, help="Prune depthwise convolutions too."),
    click.option(
        "--gradients", metavar="FILE", help="For gradient and taylor: an .npz with an array for each weight, by name."
    ),
)

_CHANNEL = (
    click.option(
        "--target-latency",
        metavar="TIME",
        help="For channel: as many go as let a run take 5ms, 800us, or 0.7x of its time.",
    ),
    click.option("--round-to", type=int, metavar="N", help="For channel: a multiple of N is left of each group."),
    click.option("--min-channels", type=int, metavar="N", help="For channel: as many are left of each group."),
    click.option("--threads", type=int, metavar="N", help="For --target-latency: most threads of a run."),
)
