"""Models with fewer channels: size, work, time, and how far onnxruntime's results are from the masked original's.

    python benchmarks/channel_pruning.py model.onnx ... --sparsity 0.3 --threads 1
    python benchmarks/channel_pruning.py model.onnx --target-latency 0.7x
    python benchmarks/channel_pruning.py model.onnx ... --no-times

The masked original has the weights of all that reads removed channels at 0. The error is the largest difference of a
result on a random input, over the result's standard deviation; sums are added up in another order, so it is not 0.
Times are medians of runs in turns, with a batch of 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from cnnc.channels import dependencies, shrink
from cnnc.compiler import read_graph
from cnnc.export import export_model
from cnnc.ir import Array, Graph
from cnnc.ir.clone import clone_graph
from cnnc.pruning import ChannelSettings, PrunedChannels, apply_masks, prune_graph_channels
from cnnc.pruning.channel_allocation import kept_counts, removed_classes
from cnnc.pruning.channel_groups import channel_groups, select_groups
from cnnc.pruning.channel_meter import ProgramMeter
from cnnc.pruning.channel_recovery import reader_masks
from cnnc.pruning.channel_scores import class_scores
from cnnc.sample_inputs import sample_arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--sparsity", type=float, default=0.3)
    parser.add_argument("--target-latency")
    parser.add_argument("--scope", choices=("layer", "global"), default="layer")
    parser.add_argument("--round-to", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--no-errors", action="store_true")
    options = parser.parse_args()
    target = options.target_latency
    settings = ChannelSettings(
        None if target else options.sparsity, target, scope=options.scope, round_to=options.round_to
    )
    meter = ProgramMeter(options.threads)
    print(f"{'':22} {'removed':>8} {'parameters':>16} {'MMACs':>14} {'ms':>16} {'':>5} {'error':>8}")
    for path in options.models:
        graph = read_graph(path)
        done = prune_graph_channels(graph, settings, meter=meter)
        before, after = (0.0, 0.0) if options.no_times else meter.runs([graph, done.graph])
        error = 0.0 if options.no_errors or target else error_of(graph, settings)
        print(f"{path.stem:22} {row(done, before, after)} {error:8.1e}", flush=True)


def row(done: PrunedChannels, before: float, after: float) -> str:
    """A line of the table."""
    sizes = f"{done.before.parameters / 1e6:.2f} -> {done.after.parameters / 1e6:.2f} M"
    macs = f"{done.before.macs / 1e6:.0f} -> {done.after.macs / 1e6:.0f}"
    times = f"{before * 1e3:.2f} -> {after * 1e3:.2f}"
    return f"{done.sparsity:8.1%} {sizes:>16} {macs:>14} {times:>16} {after / max(before, 1e-12):5.2f}"


def error_of(graph: Graph, settings: ChannelSettings) -> float:
    """The largest error of the smaller model, which must pass ONNX's checker, against the masked one."""
    found = dependencies(graph)
    selected = select_groups(graph, channel_groups(found), settings)
    scores = class_scores(found, list(selected.ratios), settings)
    removed = removed_classes(found, kept_counts(selected, scores, settings), scores)
    masked = clone_graph(graph)
    apply_masks(masked, reader_masks(found, removed))
    small = export_model(shrink(found, removed))
    onnx.checker.check_model(small, full_check=True)
    feeds = sample_arrays({value.name: value.type for value in graph.inputs}, batch=1)
    got, wanted = run(small, feeds), run(export_model(masked), feeds)
    return max(float(np.abs(a - b).max() / max(float(b.std()), 1e-30)) for a, b in zip(got, wanted, strict=True))


def run(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Any]:
    """Results of onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


if __name__ == "__main__":
    main()
