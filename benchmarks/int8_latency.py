"""Latency of quantized models in cnnc, onnxruntime and OpenVINO, with cnnc's float program beside them.

    python benchmarks/int8_latency.py --int8-folder ../int8 --float-folders ../zoo --out table.md
    python benchmarks/int8_latency.py --int8-folder ../int8 --models resnet50 --threads 1 --engines cnnc onnxruntime

Takes every NAME_int8.onnx of the folder (QDQ; all engines get the same file) and NAME.onnx of the others. Each
engine runs in a process of its own; all take turns in short slices, and sleep while others run. Engines may live in
other environments: name their interpreters by PY_ORT and PY_OV.

What is measured lies as JSON in ``--store``. With ``--budget`` no measurement begins after so many seconds; the same
command then goes on where it was, and the table shows what there is.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sidebyside.int8 import ENGINES, measure, table
from sidebyside.store import Store

from cnnc.cli.interleaved import Pace
from cnnc.cli.outputs import write_text

SUFFIX = "_int8"


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--int8-folder", type=Path, required=True, help=f"folder of the NAME{SUFFIX}.onnx files")
    parser.add_argument("--float-folders", type=Path, nargs="+", default=[], help="folders of NAME.onnx files")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="some of them")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each engine")
    parser.add_argument("--slice", type=float, default=0.15, help="seconds of a turn; one run at least")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which nothing new begins")
    parser.add_argument("--again", action="store_true", help="measure also what the store has")
    parser.add_argument("--store", type=Path, default=Path("build/int8_latency"), help="folder of the JSON files")
    parser.add_argument("--out", type=Path, help="write the tables here, instead of printing them")
    return parser.parse_args(argv)


def _wanted(arguments: argparse.Namespace) -> list[str]:
    found = sorted(path.stem.removesuffix(SUFFIX) for path in arguments.int8_folder.glob(f"*{SUFFIX}.onnx"))
    return [name for name in found if arguments.models is None or name in arguments.models]


def _missing(store: Store, names: Sequence[str], arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Models and threads that were not measured with all engines."""
    for name in names:
        for threads in arguments.threads:
            known = store.read(name).get(f"latency/{threads}")
            if arguments.again or known is None or not set(arguments.engines) <= set(known["asked"]):
                yield name, threads


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, as far as the budget goes, and show what there is."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    store, names = Store(arguments.store), _wanted(arguments)
    pace = Pace(arguments.rounds, arguments.slice)
    stop = time.monotonic() + arguments.budget
    missing = list(_missing(store, names, arguments))
    for done, (name, threads) in enumerate(missing):
        if time.monotonic() > stop:
            print(f"{len(missing) - done} measurements are left; the same command goes on", file=sys.stderr)
            break
        floats = [folder / f"{name}.onnx" for folder in arguments.float_folders]
        value = measure(
            arguments.int8_folder / f"{name}{SUFFIX}.onnx",
            next((path for path in floats if path.exists()), None),
            arguments.engines,
            threads,
            pace,
            arguments.store / "models",
        )
        store.write(name, f"latency/{threads}", {**value, "asked": arguments.engines})
        print(f"{name}, {threads} threads {value['failed'] or ''}", file=sys.stderr, flush=True)
    text = _report(store, names, arguments)
    if arguments.out is None:
        print(text)
    else:
        write_text(arguments.out, text)
    return 0


def _report(store: Store, names: Sequence[str], arguments: argparse.Namespace) -> str:
    parts = []
    versions: dict[str, str] = {}
    for threads in arguments.threads:
        key = f"latency/{threads}"
        sections = {name: sections[key] for name in names if key in (sections := store.read(name))}
        for section in sections.values():
            versions |= section["versions"]
        if sections:
            parts.append(table(sections, threads))
    options = ["--threads", *map(str, arguments.threads), "--rounds", str(arguments.rounds)]
    command = shlex.join(["python", "benchmarks/int8_latency.py", "--int8-folder", "INT8", "--float-folders", "FLOAT"])
    listed = ", ".join(f"{engine} {version}" for engine, version in versions.items())
    return "\n\n".join([*parts, f"`{command} {shlex.join(options)}`; {listed}."]) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
