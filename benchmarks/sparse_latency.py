"""Latency of pruned models in cnnc, onnxruntime and OpenVINO, with cnnc's program of the unpruned weights beside them.

    python benchmarks/sparse_latency.py --sparse-folder ../sparse --dense-folder ../zoo --out table.md
    python benchmarks/sparse_latency.py --sparse-folder ../sparse --models resnet50_u90 --threads 1 --engines cnnc

Takes the NAME_u90.onnx, NAME_b80.onnx ... of the folder, as ``sparse_models.py`` writes them (all engines get the same
file; the others compute with its zeros), and NAME.onnx of the other folder. Each engine runs in a process of its own;
all take turns in short slices, and sleep while others run. Engines may live in other environments: name their
interpreters by PY_ORT and PY_OV.

What is measured lies as JSON in ``--store``. With ``--budget`` no measurement begins after so many seconds; the same
command then goes on where it was, and the table shows what there is.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sidebyside.twins import Labels, Twin, add_options, run

NAME = re.compile(r"(?P<original>.+)_(?P<pattern>[a-z])(?P<percent>[0-9]+)")
LABELS = Labels("cnnc dense", "dense / sparse")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--sparse-folder", type=Path, required=True, help="folder of files such as NAME_u90.onnx")
    parser.add_argument("--dense-folder", type=Path, required=True, help="folder of the NAME.onnx files")
    parser.add_argument("--models", nargs="+", metavar="NAME_u90", help="some of them")
    add_options(parser, "sparse_latency")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, as far as the budget goes, and show what there is."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    twins = []
    for path in sorted(arguments.sparse_folder.glob("*.onnx")):
        parts = NAME.fullmatch(path.stem)
        if parts is not None and (arguments.models is None or path.stem in arguments.models):
            original = arguments.dense_folder / f"{parts['original']}.onnx"
            twins.append(Twin(path.stem, path, original if original.exists() else None))
    command = ["python", "benchmarks/sparse_latency.py", "--sparse-folder", "SPARSE", "--dense-folder", "DENSE"]
    run(twins, LABELS, arguments, shlex.join(command))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
