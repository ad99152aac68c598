"""What the page's head says: the model, how it was compiled, and totals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from cnnc import __version__
from cnnc.compiled_model import CompiledModel
from cnnc.ir.text import type_text
from cnnc.options import Options
from cnnc.report.facts import LayerFact, ModelFact, PortFact, Summary
from cnnc.report.timing import Times

_APART = ("level", "target", "shapes", "tuning")
"""Options that the page shows elsewhere, or that are no short text."""


def model_fact(compiled: CompiledModel, name: str, sizes: Mapping[str, int]) -> ModelFact:
    """The model.

    Args:
        name: "" for the graph's.
        sizes: of the symbols of input shapes.
    """
    graph, options, usual = compiled.graph, compiled.options, Options()
    names = [field.name for field in dataclasses.fields(Options) if field.name not in _APART]
    changed = {name: getattr(options, name) for name in names if getattr(options, name) != getattr(usual, name)}
    return ModelFact(
        name=name or graph.name,
        inputs=tuple(PortFact(value.name, type_text(value.type)) for value in graph.inputs),
        outputs=tuple(
            PortFact(name, type_text(value.type)) for name, value in zip(graph.output_names, graph.outputs, strict=True)
        ),
        sizes=tuple(sizes.items()),
        target=options.target,
        level=options.level,
        options=tuple((name, str(value)) for name, value in changed.items()),
        version=__version__,
    )


def summary(
    nodes_before: int,
    compiled: CompiledModel,
    layers: Sequence[LayerFact],
    times: Times | None,
    *,
    seconds_reason: str,
    error_reason: str,
    stages_reason: str,
) -> Summary:
    """Totals.

    Args:
        nodes_before: of the graph as it was imported.
        times: None if nothing was measured.
        seconds_reason, error_reason, stages_reason: see ``Summary``.
    """
    moved = sum((layer.read_bytes or 0) + (layer.written_bytes or 0) for layer in layers)
    return Summary(
        nodes_before=nodes_before,
        nodes_after=len(compiled.graph),
        steps=len(layers),
        host_steps=sum(layer.kernel == "host" for layer in layers),
        run_seconds=None if times is None else times.run,
        seconds=None if times is None else sum(times.steps.values()),
        seconds_reason=seconds_reason,
        predicted_seconds=_total(layer.predicted_seconds for layer in layers),
        macs=sum(layer.macs or 0 for layer in layers),
        bytes=moved + sum(layer.weight_bytes or 0 for layer in layers),
        weight_bytes=sum(layer.weight_bytes or 0 for layer in layers),
        max_error=max((layer.numeric.max_error or 0.0 for layer in layers if layer.numeric is not None), default=None),
        error_reason=error_reason,
        stages_reason=stages_reason,
    )


def _total(numbers: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
