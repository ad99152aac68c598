"""Whole models: import, export, import again, and the optimised graph exported, judged as the numeric sweep judges.

They lie in a folder beside the project (or in ``$CNNC_SHARED``); the tests are skipped where it is absent.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import cnnc
from cnnc import interp
from cnnc.export.opset import OLDEST
from cnnc.frontends import import_onnx
from tests.export.canonical import canonical_text
from tests.export.judged import exported, open_session, run_onnxruntime

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CNNC_SHARED", ROOT.parent / "shared"))
ZOO = {path.stem: path for path in sorted((SHARED / "zoo" / "light").glob("*.onnx"))}
REAL = {path.stem: path for path in sorted((SHARED / "models" / "real").glob("*/*.onnx"))}
QUICK = (
    "act_zoo",
    "cbam_se",
    "crnn_lstm",
    "hand_attr_zoo",
    "hand_opset7_mnist",
    "lenet5_view",
    "norm_zoo_ts13",
    "shufflenet-v2-12-int8",
    "sppnet_dyn20",
)
"""One model for each kind of difficulty; all of them are slow."""

NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in (*ZOO, *REAL)]


@cache
def module(path: Path) -> Any:
    """A module that is no package's: the one that fills stripped weights in, and the numeric sweep."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def sweep() -> Any:
    return module(ROOT / "benchmarks" / "zoo_sweep.py")


def model_file(name: str, folder: Path) -> Path:
    """A file of the model with its weights."""
    return Path(sweep().prepare({**ZOO, **REAL}[name], SHARED, folder))


def feeds_of(name: str, path: Path) -> dict[str, np.ndarray]:
    """An image, or what the model takes; nothing is cached, so the sizes are small."""
    feeds = sweep().feeds_for(open_session(str(path)), 1, module(SHARED / "zoo" / "materialize.py"), (64, 96))
    scaled = name in sweep().PIXEL_INPUTS
    return {key: np.clip(array * 64 + 128, 0, 255) if scaled else array for key, array in feeds.items()}


@pytest.mark.parametrize("name", NAMES)
def test_import_export_import(name: str, tmp_path: Path) -> None:
    """The second import is the first one up to names, and onnxruntime gives the same bits.

    In the model's own opset, that is: some kernels of onnxruntime (AveragePool since 19) round differently in others.
    """
    path = model_file(name, tmp_path)
    graph = import_onnx(path)
    again = import_onnx(exported(graph))
    assert canonical_text(again) == canonical_text(graph)
    opset = next(item.version for item in onnx.load(path, load_external_data=False).opset_import if not item.domain)
    model = exported(graph, opset=opset if opset >= OLDEST else None)
    feeds = feeds_of(name, path)
    expected, results = run_onnxruntime(str(path), feeds), run_onnxruntime(model, feeds)
    assert list(results) == list(expected)
    for output, array in expected.items():
        np.testing.assert_array_equal(results[output], array)


@pytest.mark.parametrize("name", NAMES)
def test_optimised(name: str, tmp_path: Path) -> None:
    """The optimised graph in onnxruntime is as near to float64 as the limits of -O2 ask."""
    path = model_file(name, tmp_path)
    model = cnnc.export_onnx(path, level=2)
    onnx.checker.check_model(model, full_check=True)
    feeds = feeds_of(name, path)
    steps = sweep().quantization_steps(path)
    fuses = steps is not None
    truth = interp.run(import_onnx(path), feeds, float64=True)
    expected, results = run_onnxruntime(str(path), feeds, fuse=fuses), run_onnxruntime(model, feeds, fuse=fuses)
    error, theirs, problem = sweep().judge(2, results, expected, truth, steps)
    assert not problem, f"{problem} (error {error:.1e}, onnxruntime's {theirs:.1e})"


@pytest.mark.skipif(not ZOO, reason="the shared models are not here")
def test_the_quick_ones_exist() -> None:
    assert set(QUICK) <= {*ZOO, *REAL}
