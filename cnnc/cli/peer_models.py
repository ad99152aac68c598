"""Models in the formats of ncnn and MNN, written by their own converters: pnnx and mnnconvert."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnc.cli.engines import Engine
from cnnc.errors import OptionError


def model_for(engine: Engine, model: Path, feeds: Mapping[str, Any], folder: Path) -> Path:
    """What ``engine_worker`` loads for an engine: the ONNX model itself, or what a converter makes of it in ``folder``.

    A conversion that ``folder`` has already is not repeated. Weights stay float32.

    Args:
        feeds: arrays by input name; their shapes are the ones to convert for.

    Raises:
        OptionError: there is no converter, it fails, or the engine cannot have such inputs.
    """
    if engine.name == "ncnn":
        return _ncnn_model(engine, model, feeds, folder)
    if engine.name == "mnn":
        return _mnn_model(engine, model, folder)
    return model


def _ncnn_model(engine: Engine, model: Path, feeds: Mapping[str, Any], folder: Path) -> Path:
    if any(array.ndim < 2 or array.shape[0] != 1 for array in feeds.values()):
        raise OptionError("ncnn runs one image at a time", where="bench", hint="leave it out, or give batches of 1")
    stem = folder / f"{model.stem}.ncnn"
    if not folder.joinpath(f"{stem.name}.bin").exists():
        shapes = ",".join("[" + ",".join(map(str, array.shape)) + "]" for array in feeds.values())
        # pnnx writes its files beside the model it reads.
        copy = folder / model.name
        shutil.copyfile(model, copy)
        try:
            _convert(engine, [_tool(engine, "pnnx"), copy.name, f"inputshape={shapes}", "fp16=0"], folder, stem)
        finally:
            for left in (copy, *folder.glob(f"{model.stem}.pnnx*"), *folder.glob(f"{model.stem}_*.py")):
                left.unlink()
    return stem


def _mnn_model(engine: Engine, model: Path, folder: Path) -> Path:
    made = folder / f"{model.stem}.mnn"
    if not made.exists():
        paths = ["--modelFile", str(model.resolve()), "--MNNModel", str(made.resolve())]
        _convert(engine, [_tool(engine, "mnnconvert"), "-f", "ONNX", *paths, "--bizCode", "cnnc"], folder, made)
    return made


def _tool(engine: Engine, name: str) -> str:
    """The converter that was installed beside the engine."""
    folder = Path(engine.interpreter).parent if engine.is_elsewhere else Path(sysconfig.get_path("scripts"))
    found = shutil.which(name, path=str(folder)) or shutil.which(name)
    if found is None:
        hint = f"pip install {engine.packages} for {engine.interpreter}"
        raise OptionError(f"{engine.name} needs the converter {name}, which is not there", where="bench", hint=hint)
    return found


def _convert(engine: Engine, command: Sequence[str], folder: Path, made: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if not any(made.parent.glob(f"{made.name}*")):
        last = ([line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no message"])[-1]
        raise OptionError(f"the converter of {engine.name} fails: {last[:200]}", where="bench", hint="leave it out")
