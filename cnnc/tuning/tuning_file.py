"""``Tuning``: measured layers with where they were measured, and its JSON file."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from cnnc.errors import OptionError
from cnnc.lower import cpu_rules, cuda
from cnnc.lower.rules import TiledRule
from cnnc.lower.selection import Candidate, LayerTiming
from cnnc.runtime.cpu.machine import USUAL_MACHINE, Machine
from cnnc.tuning.calibration import machine_of_json, machine_to_json
from cnnc.tuning.environment import Environment

FORMAT = "cnnc-tuning"
VERSION = 2
_MOST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Tuning:
    """Measured layers by ``layer_key``, and the machine by which the cost model decides about others."""

    environment: Environment
    layers: Mapping[str, LayerTiming]
    machine: Machine = USUAL_MACHINE

    def to_json(self) -> str:
        """The text of a tuning file; equal tunings give equal bytes."""
        value = {
            "format": FORMAT,
            "version": VERSION,
            "environment": dataclasses.asdict(self.environment),
            "machine": machine_to_json(self.machine),
            "layers": {key: _layer_to_json(self.layers[key]) for key in sorted(self.layers)},
        }
        return json.dumps(value, indent=1, allow_nan=False) + "\n"


def read_tuning(path: str | PathLike[str]) -> Tuning:
    """The tuning of a file.

    Raises:
        OptionError: there is no such file, or it is not a tuning file of this version.
    """
    try:
        if Path(path).stat().st_size > _MOST_BYTES:
            raise _MalformedError(f"it is larger than {_MOST_BYTES >> 20} MiB")
        return parse_tuning(Path(path).read_bytes())
    except OSError as error:
        raise OptionError(f"it cannot be read ({error.strerror})", where=str(path), hint="check the path") from error
    except _MalformedError as error:
        raise OptionError(f"this is no tuning file: {error}", where=str(path), hint="make one: cnnc tune") from error


def parse_tuning(data: bytes) -> Tuning:
    """The tuning of a file's bytes.

    Raises:
        ValueError: they are not a tuning file of this version.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _MalformedError("it is not JSON") from error
    record = _object(value, "the file")
    if record.get("format") != FORMAT or record.get("version") != VERSION:
        raise _MalformedError(
            f"format {record.get('format')!r}, version {record.get('version')!r} is not {FORMAT} {VERSION}"
        )
    layers = _object(record.get("layers"), "layers")
    return Tuning(
        _environment(record.get("environment")),
        {key: _layer(item, key) for key, item in layers.items()},
        _machine(record.get("machine")),
    )


class _MalformedError(ValueError):
    """What is wrong with a tuning file."""


def _layer_to_json(layer: LayerTiming) -> dict[str, Any]:
    candidates = [
        {"rule": item.rule, "tiling": dataclasses.asdict(item.tiling), "cost": item.cost, "seconds": seconds}
        for item, seconds in zip(layer.candidates, layer.seconds, strict=True)
    ]
    return {"chosen": layer.chosen, "candidates": candidates}


def _environment(value: Any) -> Environment:
    record = _object(value, "environment")
    texts = [record.get(name) for name in ("cpu", "target", "kernels")]
    if not all(isinstance(text, str) for text in texts):
        raise _MalformedError("environment lacks the CPU, the target or the hash of the kernels")
    return Environment(str(texts[0]), str(texts[1]), _whole(record.get("threads"), "threads", 1), str(texts[2]))


def _machine(value: Any) -> Machine:
    try:
        return machine_of_json(value)
    except ValueError as error:
        raise _MalformedError(str(error)) from error


def _layer(value: Any, key: str) -> LayerTiming:
    record = _object(value, key)
    items = record.get("candidates")
    if not isinstance(items, list) or not items:
        raise _MalformedError(f"{key} has no candidates")
    candidates = tuple(_candidate(item, key) for item in items)
    seconds = tuple(_positive(item.get("seconds"), key) for item in items)
    chosen = record.get("chosen")
    if type(chosen) is not int or not 0 <= chosen < len(items):
        raise _MalformedError(f"{key}: chosen is {chosen!r}, not the index of a candidate")
    return LayerTiming(candidates, seconds, chosen)


@functools.cache
def _tiled_rules() -> dict[str, tuple[TiledRule[Any], ...]]:
    """Of all targets, by name: kernels of one name may have other tilings on GPUs."""
    found: dict[str, tuple[TiledRule[Any], ...]] = {}
    for rules in (*cpu_rules.RULES.values(), *cuda.RULES.values()):
        for rule in rules:
            if isinstance(rule, TiledRule):
                found[rule.name] = (*found.get(rule.name, ()), rule)
    return found


def _candidate(value: Any, key: str) -> Candidate:
    record = _object(value, key)
    rules = _tiled_rules().get(str(record.get("rule")), ())
    if not rules:
        raise _MalformedError(f"{key}: there is no rule {record.get('rule')!r} with tilings")
    tiling = _object(record.get("tiling"), key)
    fitting = [rule for rule in rules if sorted(tiling) == sorted(_sizes_of(rule))]
    rule = (fitting or rules)[0]
    names = _sizes_of(rule)
    if not fitting:
        raise _MalformedError(f"{key}: a tiling of {rule.name} has {', '.join(names)}, not {', '.join(tiling)}")
    sizes = {name: _whole(tiling[name], f"{key}: {name}", 0) for name in names}
    return Candidate(rule.name, rule.kind(**sizes), _positive(record.get("cost"), key))


def _sizes_of(rule: TiledRule[Any]) -> list[str]:
    return [item.name for item in dataclasses.fields(rule.kind)]


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _MalformedError(f"{what} is not an object")
    return value


def _whole(value: Any, what: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise _MalformedError(f"{what} is {value!r}, not a whole number from {least} on")
    return value


def _positive(value: Any, what: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise _MalformedError(f"{what} has the cost or time {value!r}")
    return float(value)
