"""All passes by name, loaded on first use, those of other packages too, and the text form of a pipeline.

A pass called ``fold-batch-norm`` is the class ``FoldBatchNorm`` of the module ``fold_batch_norm``.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cnnc.errors import InternalError, OptionError
from cnnc.extension_points import ExtensionPoint
from cnnc.ir import STAGES
from cnnc.passes.base import Pass

_NAMES = (
    "assign-layouts",
    "canonicalize-axes",
    "canonicalize-operands",
    "canonicalize-reshape",
    "decompose-ops",
    "eliminate-concat-slices",
    "eliminate-dead-code",
    "eliminate-no-ops",
    "fold-batch-norm",
    "fold-constants",
    "fold-pad",
    "fold-scale-into-conv",
    "fold-shapes",
    "fold-transpose-into-gemm",
    "fuse-conv-activation",
    "fuse-conv-gate",
    "fuse-conv-prologue",
    "fuse-conv-residual",
    "fuse-elementwise",
    "fuse-matmul-add",
    "fuse-quantized-ops",
    "lower-batch-norm",
    "lower-quantized-concat",
    "mark-optimised",
    "merge-byte-functions",
    "merge-channel-moves",
    "merge-common-subexpressions",
    "move-pointwise-conv",
    "push-transposes",
    "recognize-channel-shuffle",
    "recognize-clip",
    "recognize-depth-to-space",
    "recognize-gelu",
    "recognize-global-pool",
    "recognize-group-norm",
    "recognize-hard-sigmoid",
    "recognize-hard-swish",
    "recognize-layer-norm",
    "recognize-lrn",
    "recognize-mish",
    "recognize-silu",
    "recognize-softplus",
    "remove-dead-channels",
    "resolve-auto-pad",
    "simplify-division",
    "simplify-power",
    "split-quantized-weights",
    "widen-half",
)
"""Every pass, in alphabetical order."""

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
_ROW = re.compile(r"\s*([a-z0-9-]+)\s*(?:\{([^{}]*)\})?\s*(?:,|\Z)")


class PassRegistry(Mapping[str, type[Pass]]):
    """Pass classes by name: cnnc's own, and those of other packages."""

    def __getitem__(self, name: str) -> type[Pass]:
        if name not in _NAMES:
            added = EXTENSIONS.find(name)
            if added is not None:
                return added
            close = difflib.get_close_matches(name, [*self, *NAMED_PIPELINES.names()], 1)
            hint = f"did you mean {close[0]}?" if close else "cnnc passes lists them"
            raise OptionError(f"there is no pass {name!r}", hint=hint)
        module = importlib.import_module(f"cnnc.passes.{name.replace('-', '_')}")
        found = getattr(module, "".join(part.capitalize() for part in name.split("-")))
        if found.name != name:
            raise InternalError(f"pass {name} calls itself {found.name!r}")
        cls: type[Pass] = found
        return cls

    def __contains__(self, name: object) -> bool:
        return name in _NAMES or (isinstance(name, str) and EXTENSIONS.find(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted((*_NAMES, *EXTENSIONS.names())))

    def __len__(self) -> int:
        return len(_NAMES) + len(EXTENSIONS.names())


def _pass_refusal(name: str, thing: Any) -> str | None:
    if not (isinstance(thing, type) and issubclass(thing, Pass)):
        return "it is no subclass of cnnc.passes.Pass"
    if thing.name != name:
        return f"the pass calls itself {thing.name!r}"
    if not _NAME.fullmatch(name):
        return "a pass is named by small letters, digits and hyphens"
    if thing.requires not in STAGES or thing.ensures not in ("", *STAGES):
        return f"a stage that it names is none of {', '.join(STAGES)}"
    return None if thing.numerics in ("exact", "rounding") else f"its numerics {thing.numerics!r} is no kind"


def _pipeline_refusal(name: str, thing: Any) -> str | None:
    return None if isinstance(thing, str) and _NAME.fullmatch(name) else "it is no text of passes with a plain name"


EXTENSIONS: ExtensionPoint[type[Pass]] = ExtensionPoint("cnnc.passes", "pass", _pass_refusal, own=lambda: _NAMES)
"""Passes of other packages."""

NAMED_PIPELINES: ExtensionPoint[str] = ExtensionPoint(
    "cnnc.pipelines", "pipeline", _pipeline_refusal, own=lambda: ALL_PASSES
)
"""Lists of passes that have a name, in the text form of pipelines, which may stand where a pass may."""

ALL_PASSES: PassRegistry = PassRegistry()


def parse_pipeline(text: str) -> tuple[Pass, ...]:
    """Passes from ``"fold-batch-norm,fuse-conv-activation{max=2}"``; the name of a pipeline stands for its passes.

    Raises:
        OptionError: an unknown pass or option, a value of the wrong kind, or a pipeline that contains itself.
    """
    return tuple(_parsed(text, ()))


def _parsed(text: str, within: tuple[str, ...]) -> list[Pass]:
    passes: list[Pass] = []
    at = 0
    while text[at:].strip():
        row = _ROW.match(text, at)
        if row is None:
            raise OptionError(f"cannot read the pipeline from {text[at : at + 40]!r}", hint="write name{option=1},name")
        at = row.end()
        name, options = row.group(1), row.group(2)
        inner = None if name in _NAMES else NAMED_PIPELINES.find(name)
        if inner is None:
            passes.append(make_pass(name, options or ""))
            continue
        if name in within:
            raise OptionError(f"pipeline {name} contains itself", hint=" > ".join((*within, name)))
        if options is not None:
            raise OptionError(f"pipeline {name} takes no options", hint="give them to its passes")
        passes.extend(_parsed(inner, (*within, name)))
    return passes


def make_pass(name: str, options: str = "") -> Pass:
    """A pass with options given as ``key=value,key=value``.

    Raises:
        OptionError: an unknown pass or option, or a value of the wrong kind.
    """
    cls = ALL_PASSES[name]
    fields = {field.name: field.default for field in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for part in filter(None, map(str.strip, options.split(","))):
        key, equals, text = map(str.strip, part.partition("="))
        if key not in fields or not equals:
            known = ", ".join(fields) or "none"
            raise OptionError(f"pass {name} has no option {part!r}; its options are: {known}")
        values[key] = _option(name, key, text, fields[key])
    if values.get("max", -1) >= 0 and cls.ensures:
        raise OptionError(f"pass {name} takes no max: the graph would not reach stage {cls.ensures}")
    return cls(**values)


def _option(name: str, key: str, text: str, default: Any) -> Any:
    """``text`` as the kind of value that the option's default is."""
    kinds: dict[type, Any] = {int: int, float: float, str: str, bool: {"true": True, "false": False}.__getitem__}
    try:
        return kinds[type(default)](text)
    except (ValueError, KeyError) as error:
        wanted = type(default).__name__
        raise OptionError(f"option {key} of pass {name} is of kind {wanted}, not {text!r}") from error
