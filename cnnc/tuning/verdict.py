"""Whole models: layers that were faster alone are kept only where the model as a whole becomes faster."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace

from cnnc.errors import InputError
from cnnc.ir import Graph
from cnnc.lower import lower
from cnnc.lower.numerics import DEFAULT_NUMERICS, Numerics
from cnnc.lower.selection import LayerTiming, Selection
from cnnc.runtime.jit import cache
from cnnc.runtime.kernel import Target
from cnnc.tuning.search import fastest
from cnnc.tuning.stopwatch import Stopwatch
from cnnc.tuning.tuning_file import Tuning

CLEAR_WINNER = 0.9
"""Share of the time of the cost model's choice below which a layer is a clear winner."""

Layers = Mapping[str, LayerTiming]


def settle(
    graph: Graph,
    target: Target,
    stopwatch: Stopwatch,
    tuning: Tuning,
    numerics: Numerics = DEFAULT_NUMERICS,
    *,
    again: bool = False,
) -> Tuning:
    """The tuning of a placed graph with the choices that make the whole model fastest.

    Timed in turns are the cost model's choices, the layers that clearly win alone, and all that win. Anything but the
    first must be faster in most rounds. The verdict is cached. Where typical sizes are no sizes for the model it cannot
    be timed, and the cost model's choices are kept.

    Args:
        again: time it even if there is a verdict.
    """
    winners = {key: timing for key, timing in tuning.layers.items() if timing.chosen}
    if not winners:
        return tuning
    clear = {
        key: timing
        for key, timing in winners.items()
        if timing.seconds[timing.chosen] < CLEAR_WINNER * timing.seconds[0]
    }
    ways: list[Layers] = [{}, *([clear] if clear and clear != winners else []), winners]
    name = _file_name(tuning, winners)
    known = None if again else _load(name)
    if known is None or known >= len(ways):
        known = _fastest_way(graph, target, stopwatch, ways, tuning, numerics)
        cache.store_file(name, json.dumps({"way": known}).encode())
    kept = ways[known]
    return replace(
        tuning,
        layers={key: timing if key in kept else replace(timing, chosen=0) for key, timing in tuning.layers.items()},
    )


def _fastest_way(
    graph: Graph, target: Target, stopwatch: Stopwatch, ways: list[Layers], tuning: Tuning, numerics: Numerics
) -> int:
    programs = [lower(graph, target, Selection(layers, tuning.machine), numerics) for layers in ways]
    stopwatch.compile(variant for program in programs for variant in program.program.variants())
    try:
        return fastest(stopwatch.model_rounds(programs), margin=0.0)
    except InputError:
        return 0


def _file_name(tuning: Tuning, winners: Layers) -> str:
    """Of the cached verdict: it holds for this machine, these kernels and layers, and what was chosen for them."""
    lines = [tuning.environment.digest, repr(tuning.machine), *tuning.layers]
    lines += [f"{key} {timing.best}" for key, timing in winners.items()]
    return f"verdict-{hashlib.sha256(chr(10).join(sorted(lines)).encode()).hexdigest()}.json"


def _load(name: str) -> int | None:
    data = cache.load_file(name)
    try:
        value = None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None
    way = value.get("way") if isinstance(value, dict) else None
    return way if type(way) is int and way >= 0 else None
