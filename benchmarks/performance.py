"""cnnc beside onnxruntime, OpenVINO, ncnn and MNN: one command measures everything, and writes docs/performance.md.

    python benchmarks/performance.py --models-folder ../zoo                               the whole table; hours
    python benchmarks/performance.py --models-folder ../zoo --models lenet5 mobilenet_v2  some models
    python benchmarks/performance.py --models-folder ../zoo --only latency --threads 1 --engines cnnc onnxruntime
    python benchmarks/performance.py --report-only                                        the page from what is measured

Sections may be measured by commands of their own, with other rounds or other models; the page shows them all:

    python benchmarks/performance.py --models-folder ../zoo --measure-only --only latency --rounds 4 --budget 5
    python benchmarks/performance.py --models-folder ../zoo --measure-only --only start compile layers --threads 2
    python benchmarks/performance.py --report-only

Needs ``pip install cnnc[bench]`` (onnxruntime, and matplotlib for the plot). Engines may live in other environments:
name their interpreters by PY_ORT, PY_OV, PY_NCNN and PY_MNN. An engine that is missing or cannot run a model is listed
as such.

Each engine runs in a process of its own. All take turns, and sleep while others run. With several threads each slice
stands between two checks that pure multiply-adds get a core for each; rounds that fail are repeated. Everything that is
measured lies as JSON in ``--store``, a file a model: a run that was stopped goes on where it was. ``--again`` measures
anew.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sidebyside.report import CNNC, PEERS, write_report
from sidebyside.roofline import plot_rooflines
from sidebyside.store import Store

MODELS = (
    "alexnet deeplabv3_mobilenet_v3_large densenet121 dncnn efficientnet_b0 googlenet inception_v3 lenet5 mnasnet1_0 "
    "mobilenet_v1 mobilenet_v2 mobilenet_v3_large r3d_18 regnet_x_400mf resnet18 resnet50 resnext50_32x4d seresnet50 "
    "shufflenet_v1_g3 shufflenet_v2_x1_0 squeezenet1_1 unet unet3d_small vgg16 xception yolov3_tiny"
).split()
KINDS = ("latency", "batch", "sessions", "start", "compile", "layers")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--models-folder", type=Path, help="folder of the .onnx files")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME", help="names of files, without .onnx")
    parser.add_argument("--engines", nargs="+", default=[CNNC, *PEERS], choices=[CNNC, *PEERS])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--only", nargs="+", default=KINDS, choices=KINDS, help="what to measure")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each engine")
    parser.add_argument("--slice", type=float, default=0.25, help="seconds of a turn; one run at least")
    parser.add_argument("--budget", type=float, default=60, help="seconds after which a section gets no further round")
    parser.add_argument("--again", action="store_true", help="measure also what the store has")
    parser.add_argument("--store", type=Path, default=Path("build/performance"), help="folder of the JSON files")
    parser.add_argument("--out", type=Path, default=Path("docs/performance.md"), help="the page to write")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--report-only", action="store_true", help="measure nothing")
    what.add_argument("--measure-only", action="store_true", help="write no page: needs no matplotlib")
    arguments = parser.parse_args(argv)
    arguments.command = shlex.join(["python", "benchmarks/performance.py", *_without_paths(argv)])
    if not arguments.report_only and arguments.models_folder is None:
        parser.error("--models-folder is needed: the folder of the .onnx files")
    return arguments


def _without_paths(argv: Sequence[str]) -> Iterator[str]:
    """The command's words as they are shown: no folders of this machine."""
    words = iter(argv)
    for word in words:
        option, equals, _ = word.partition("=")
        if option not in ("--models-folder", "--store", "--out"):
            yield word
            continue
        if not equals:
            next(words)
        if option == "--models-folder":
            yield from (option, "MODELS")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(sys.argv[1:] if argv is None else argv)
    store = Store(arguments.store)
    if not arguments.measure_only:
        import matplotlib  # noqa: F401  # is it there? Asked before hours of measuring, not after
    if not arguments.report_only:
        from sidebyside.campaign import measure

        measure(store, arguments)
    if not arguments.measure_only:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        plot = plot_rooflines(store, arguments.out.with_suffix(""))
        write_report(store, arguments.out, plot)
        print(f"{arguments.out} is written", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
