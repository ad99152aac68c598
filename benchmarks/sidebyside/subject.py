"""A model as every engine gets it: the same inputs, and a file in the engine's own format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cnnc
from cnnc.cli.bench_worker import BenchWorker
from cnnc.cli.engines import ENGINES
from cnnc.cli.inputs import fill_randomly
from cnnc.cli.peer_models import model_for

SEED = 7


@dataclass(frozen=True, slots=True)
class Subject:
    """One model at one batch size.

    Attributes:
        model: the ONNX file.
        compiled: by cnnc, for this CPU.
        artifact: ``compiled`` as a ``.cnnc`` file, as ``cnnc compile`` writes it.
        feeds: inputs by name, standard normal.
        feeds_file: the same as an ``.npz`` file.
        outputs: names of the outputs.
        folder: where files of this model at this batch size are kept.
    """

    model: Path
    compiled: cnnc.CompiledModel
    artifact: Path
    feeds: dict[str, Any]
    feeds_file: Path
    outputs: Sequence[str]
    folder: Path

    def worker(self, engine: str, threads: int, *, sessions: int = 1) -> BenchWorker:
        """The engine in a process of its own, with the model loaded.

        Raises:
            OptionError: it is not installed, or cannot convert, load or run the model.
        """
        if engine != "reference":
            ENGINES[engine].check_installed()
        path = self.model
        if engine == "cnnc":
            path = self.artifact
        elif engine in ENGINES:
            path = model_for(ENGINES[engine], self.model, self.feeds, self.folder)
        return BenchWorker(engine, path, self.feeds_file, self.outputs, threads, sessions=sessions)

    def reference(self) -> list[Any]:
        """Outputs of onnxruntime without graph optimisations; computed once.

        Raises:
            OptionError: onnxruntime is not installed or does not run the model.
        """
        file = self.folder / "reference.npz"
        if not file.exists():
            worker = self.worker("reference", 1)
            try:
                worker.save_outputs(file)
            finally:
                worker.close()
        return read_arrays(file)


def prepare(model: Path, batch: int, cache: Path) -> Subject:
    """Compile the model, and write what engines load to a folder below ``cache``.

    Raises:
        ModelError, UnsupportedError: what cnnc cannot do with the model.
    """
    folder = cache / f"{model.stem}-{batch}"
    folder.mkdir(parents=True, exist_ok=True)
    compiled = cnnc.compile(str(model))
    program = compiled.lowered.program
    feeds = fill_randomly({}, program.inputs, SEED, batch=batch)
    feeds_file, artifact = folder / "feeds.npz", folder / "model.cnnc"
    np.savez(feeds_file, **feeds)
    compiled.save(artifact)
    outputs = [port.name for port in program.outputs]
    return Subject(model, compiled, artifact, feeds, feeds_file, outputs, folder)


def read_arrays(file: Path) -> list[Any]:
    """Outputs that a worker saved, in the model's order."""
    with np.load(file, allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]


def largest_error(results: Sequence[Any], truth: Sequence[Any]) -> float | None:
    """The largest difference over the standard deviation of the true output; None where sizes differ or a result is no
    number."""
    worst = 0.0
    for mine, exact in zip(results, truth, strict=True):
        if mine.size != exact.size:
            return None
        if exact.size:
            exact = np.asarray(exact, np.float64).ravel()
            difference = np.abs(np.asarray(mine, np.float64).ravel() - exact)
            if not np.isfinite(difference).all():
                return None
            worst = max(worst, float(np.max(difference)) / (float(np.std(exact)) or 1.0))
    return worst
