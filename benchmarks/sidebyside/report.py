"""``docs/performance.md``, made from the stored measurements alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sidebyside.store import MACHINE, Store

CNNC = "cnnc"
FAST_PEERS = ("onnxruntime", "openvino")
PEERS = (*FAST_PEERS, "ncnn", "mnn")
TITLES = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO", "ncnn": "ncnn", "mnn": "MNN", CNNC: "cnnc"}

Section = Mapping[str, Any]


def write_report(store: Store, out: Path, plot: Path | None) -> None:
    """Write the page; what was not measured is left out."""
    models = {name: store.read(name) for name in store.models()}
    machine = store.read(MACHINE)["machine"]
    parts = [
        _introduction(machine, models),
        *(_latency(models, threads) for threads in _thread_counts(models, "latency")),
        *(_batches(models, threads) for threads in _thread_counts(models, "batch")),
        *(_sessions(models, threads) for threads in _thread_counts(models, "sessions")),
        *(_starts(models, threads) for threads in _thread_counts(models, "start")),
        _compiling(models),
        _errors(models),
        _plot(machine, models, plot, out),
        _absent(models),
    ]
    temporary = out.with_suffix(".tmp")
    temporary.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    temporary.replace(out)


def _introduction(machine: Section, models: Mapping[str, Section]) -> str:
    limits = machine["limits"]
    memory = ", ".join(f"{level} {rate / 1e9:.0f}" for level, rate in limits["bytes_per_second"].items())
    versions = {
        engine: facts["version"]
        for sections in models.values()
        for name, section in sections.items()
        if name.startswith(("latency/", "batch/", "sessions/"))
        for engine, facts in section["engines"].items()
    }
    listed = "".join(f"{TITLES[engine]} {versions[engine]}, " for engine in (CNNC, *PEERS) if engine in versions)
    return f"""# Performance

Measured on {machine["date"]}: {machine["cores"]} cores of an {machine["cpu"]} ({machine["target"]}), \
{machine["system"]}, Python {machine["python"]}. {listed}float32, batch 1 unless a table says otherwise. One thread \
reaches {limits["peak_flops"] / 1e9:.0f} GFLOP/s of multiply-adds in registers, and reads from {memory} GB/s. Above \
each table stand the commands that measured it.

Each engine runs in a process of its own. The engines take turns in short slices, another one first in each round, and \
sleep while others run; a run that is not timed begins each slice. With several threads a round counts only if pure \
multiply-adds get a core for each thread before and after every slice; other rounds are repeated. Times are medians \
over the rounds. Ratios are times of the peer over those of cnnc, so above 1 means that cnnc is faster; the range is \
that of single rounds. ncnn's and MNN's models are converted by pnnx (fp16=0) and mnnconvert; MNN runs with precision \
high, OpenVINO with the latency hint and f32, ncnn without fp16 and bf16.

Kernels alone: `python benchmarks/conv_kernels.py` prints GFLOP/s and the share of the measured peak. Memory: `python \
benchmarks/arena.py`. Layer by layer: `cnnc bench model.onnx --profile`."""


def _latency(models: Mapping[str, Section], threads: int) -> str:
    rows, fast_ratios, all_ratios = [], [], []
    for name, section in _with_section(models, f"latency/{threads}"):
        engines = section["engines"]
        fast, every = _best(engines, FAST_PEERS), _best(engines, PEERS)
        fast_ratios += [] if fast is None else [fast[0]]
        all_ratios += [] if every is None else [every[0]]
        marks = "" if section["is_free"] else " (busy)"
        rows.append(
            [
                name + marks,
                *(_milliseconds(engines.get(engine)) for engine in (CNNC, *PEERS)),
                _ratio_text(fast),
                _ratio_text(every),
                _percentiles(engines.get(CNNC)),
                _percentiles(engines.get("onnxruntime")),
            ]
        )
    titles = [f"{TITLES[engine]} ms" for engine in (CNNC, *PEERS)]
    columns = ["model", *titles, "faster of ort, OpenVINO / cnnc", "fastest peer / cnnc", "cnnc p50 / p99 ms"]
    lines = [
        f"## One run after the other, {_threads_text(threads)}",
        "",
        *_commands(models, f"latency/{threads}"),
        *_table([*columns, "onnxruntime p50 / p99 ms"], rows),
        "",
        _summary("the faster of onnxruntime and OpenVINO", fast_ratios),
        "",
        _summary("the fastest of all", all_ratios),
    ]
    dropped = sum(section["dropped"] for _, section in _with_section(models, f"latency/{threads}"))
    if dropped:
        lines += ["", f"{dropped} rounds were repeated because the host was busy."]
    return "\n".join(lines)


def _batches(models: Mapping[str, Section], threads: int) -> str:
    rows, ratios = [], []
    for name, section in _with_section(models, f"batch/{threads}"):
        engines = section["engines"]
        best = _best(engines, FAST_PEERS)
        ratios += [] if best is None else [best[0]]
        rates = [_rate(engines.get(engine), 8) for engine in (CNNC, *FAST_PEERS)]
        rows.append([name, *rates, _ratio_text(best)])
    columns = ["model", *(f"{TITLES[engine]} images/s" for engine in (CNNC, *FAST_PEERS)), "cnnc / faster peer"]
    return "\n".join(
        [
            f"## Batches of 8, {_threads_text(threads)}",
            "",
            *_commands(models, f"batch/{threads}"),
            *_table(columns, rows),
            "",
            _summary("the faster one", ratios),
        ]
    )


def _sessions(models: Mapping[str, Section], threads: int) -> str:
    rows = []
    for name, section in _with_section(models, f"sessions/{threads}"):
        engines = section["engines"]
        cells = []
        for engine in (CNNC, *FAST_PEERS):
            facts = engines.get(engine)
            rate = "" if facts is None else f"{2 / statistics.median(facts['means']):.1f}"
            cells += [rate, _percentiles(facts)]
        rows.append([name, *cells])
    columns = ["model"]
    for engine in (CNNC, *FAST_PEERS):
        columns += [f"{TITLES[engine]} runs/s", "p50 / p99 ms"]
    return "\n".join(
        [
            f"## Two sessions at once, at most {_threads_text(threads)} each",
            "",
            *_commands(models, f"sessions/{threads}"),
            "Two sessions in one process, each run over and over by a thread of its own.",
            "",
            *_table(columns, rows),
        ]
    )


def _starts(models: Mapping[str, Section], threads: int) -> str:
    rows = []
    for name, section in _with_section(models, f"start/{threads}"):
        engines = section["engines"]
        names = (CNNC, *PEERS)
        seconds = {engine: _median_of(engines.get(engine), "seconds") for engine in names}
        memory = {engine: _median_of(engines.get(engine), "peak_bytes") for engine in names}
        ratio = ""
        if seconds[CNNC] and seconds["onnxruntime"]:
            ratio = f"{seconds['onnxruntime'] / seconds[CNNC]:.2f}"
        rows.append(
            [
                name,
                *("" if seconds[engine] is None else f"{seconds[engine] * 1e3:.0f}" for engine in names),
                ratio,
                *("" if memory[engine] is None else f"{memory[engine] / 2**20:.0f}" for engine in names),
            ]
        )
    columns = ["model", *(f"{TITLES[engine]} ms" for engine in (CNNC, *PEERS)), "ort / cnnc"]
    columns += [f"{TITLES[engine]} MiB" for engine in (CNNC, *PEERS)]
    return "\n".join(
        [
            f"## Cold start and peak memory, {_threads_text(threads)}",
            "",
            *_commands(models, f"start/{threads}"),
            "From after `import numpy` in a fresh process: import of the engine, loading the model (cnnc from a "
            "`.cnnc` file, onnxruntime and OpenVINO from ONNX, ncnn and MNN from their own files), first output. Files "
            "and compiled kernels are in their caches. MiB: the largest resident set of the process, mapped weights "
            "included.",
            "",
            *_table(columns, rows),
        ]
    )


def _compiling(models: Mapping[str, Section]) -> str:
    rows = [
        [
            name,
            f"{section['cold_seconds']:.1f}",
            f"{section['warm_seconds']:.1f}",
            f"{section['onnx_bytes'] / 2**20:.1f}",
            f"{section['cnnc_bytes'] / 2**20:.1f}",
        ]
        for name, section in _with_section(models, "compile")
    ]
    if not rows:
        return ""
    columns = ["model", "no kernels cached s", "kernels cached s", "ONNX MiB", ".cnnc MiB"]
    return "\n".join(
        [
            "## Compiling",
            "",
            *_commands(models, "compile"),
            "`cnnc compile` as a whole, with the start of Python.",
            "",
            *_table(columns, rows),
        ]
    )


def _errors(models: Mapping[str, Section]) -> str:
    rows = []
    for name, sections in models.items():
        section = next((value for key, value in sections.items() if key.startswith("latency/")), None)
        if section is not None:
            facts = [section["engines"].get(engine, {}).get("error") for engine in (CNNC, *PEERS)]
            rows.append([name, *("" if error is None else f"{error:.1e}" for error in facts)])
    if not rows:
        return ""
    return "\n".join(
        [
            "## Differences",
            "",
            "The largest difference from onnxruntime without graph optimisations, over the standard deviation of the "
            "output.",
            "",
            *_table(["model", *(TITLES[engine] for engine in (CNNC, *PEERS))], rows),
        ]
    )


def _plot(machine: Section, models: Mapping[str, Section], plot: Path | None, out: Path) -> str:
    if plot is None:
        return ""
    commands = "".join(f"{line}\n" for line in _commands(models, "layers"))
    return (
        f"## Rooflines\n\n{commands}"
        "One thread; a dot is a layer, its size its share of the time: convolutions blue, matrix products red. Lines "
        f"are the measured limits: {machine['limits']['peak_flops'] / 1e9:.0f} GFLOP/s of multiply-adds, and reading "
        "from each level of the memory. Operations are counted as in direct convolution: layers above the roof need "
        "fewer. "
        f"([SVG]({plot.with_suffix('.svg').relative_to(out.parent)}))\n\n"
        f"![rooflines]({plot.relative_to(out.parent)})"
    )


def _absent(models: Mapping[str, Section]) -> str:
    lines = []
    for name, sections in models.items():
        reasons: dict[str, str] = {}
        for key, section in sections.items():
            if key == "missing":
                reasons["model"] = section
            else:
                reasons |= section.get("failed", {})
        lines += [f"- {name}, {TITLES.get(engine, engine)}: {reason}" for engine, reason in reasons.items()]
    return "\n".join(["## What could not be measured", "", *lines]) if lines else ""


def _commands(models: Mapping[str, Section], key: str) -> list[str]:
    """The commands that measured a section, as a block of Markdown."""
    found = dict.fromkeys(section["command"] for _, section in _with_section(models, key))
    return [*(f"    {command}" for command in found), ""]


def _thread_counts(models: Mapping[str, Section], kind: str) -> list[int]:
    keys = {key for sections in models.values() for key in sections if key.startswith(f"{kind}/")}
    return sorted(int(key.partition("/")[2]) for key in keys)


def _with_section(models: Mapping[str, Section], key: str) -> list[tuple[str, Section]]:
    return [(name, sections[key]) for name, sections in models.items() if key in sections]


def _best(engines: Section, names: Sequence[str]) -> tuple[float, float, float] | None:
    """(ratio of medians, lowest, highest ratio of a round) of the fastest of ``names`` to cnnc."""
    peers = [engines[name]["medians"] for name in names if name in engines]
    if not peers or CNNC not in engines:
        return None
    best, own = min(peers, key=statistics.median), engines[CNNC]["medians"]
    ratios = [theirs / mine for theirs, mine in zip(best, own, strict=True)]
    return statistics.median(best) / statistics.median(own), min(ratios), max(ratios)


def _ratio_text(ratio: tuple[float, float, float] | None) -> str:
    return "" if ratio is None else f"**{ratio[0]:.2f}** ({ratio[1]:.2f} .. {ratio[2]:.2f})"


def _milliseconds(facts: Section | None) -> str:
    return "" if facts is None else _short(statistics.median(facts["medians"]) * 1e3)


def _percentiles(facts: Section | None) -> str:
    return "" if facts is None else f"{_short(facts['p50'] * 1e3)} / {_short(facts['p99'] * 1e3)}"


def _rate(facts: Section | None, batch: int) -> str:
    return "" if facts is None else f"{batch / statistics.median(facts['medians']):.1f}"


def _median_of(samples: Sequence[Section] | None, key: str) -> float | None:
    values = [sample[key] for sample in samples or () if sample[key] is not None]
    return statistics.median(values) if values else None


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value else "0"


def _threads_text(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}"


def _summary(whom: str, ratios: Iterable[float]) -> str:
    values = list(ratios)
    if not values:
        return ""
    mean = math.exp(statistics.fmean(map(math.log, values)))
    models = f"{len(values)} model{'s' * (len(values) > 1)}"
    return f"Against {whom}: geometric mean {mean:.2f} over {models}, lowest {min(values):.2f}."


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
