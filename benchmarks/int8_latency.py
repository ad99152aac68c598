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
from collections.abc import Sequence
from pathlib import Path

from sidebyside.twins import Labels, Twin, add_options, run

SUFFIX = "_int8"
LABELS = Labels("cnnc float32", "float32 / int8")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--int8-folder", type=Path, required=True, help=f"folder of the NAME{SUFFIX}.onnx files")
    parser.add_argument("--float-folders", type=Path, nargs="+", default=[], help="folders of NAME.onnx files")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="some of them")
    add_options(parser, "int8_latency")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, as far as the budget goes, and show what there is."""
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    twins = []
    for path in sorted(arguments.int8_folder.glob(f"*{SUFFIX}.onnx")):
        name = path.stem.removesuffix(SUFFIX)
        if arguments.models is None or name in arguments.models:
            floats = [folder / f"{name}.onnx" for folder in arguments.float_folders]
            twins.append(Twin(name, path, next((file for file in floats if file.exists()), None)))
    command = ["python", "benchmarks/int8_latency.py", "--int8-folder", "INT8", "--float-folders", "FLOAT"]
    run(twins, LABELS, arguments, shlex.join(command))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
