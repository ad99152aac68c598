"""The parent's end of ``engine_worker``: starts an engine's process, asks it for times, ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnc.cli.engines import ENGINES
from cnnc.errors import OptionError

_PROGRAM = Path(__file__).with_name("engine_worker.py")


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds of an engine's start in a fresh process that has imported NumPy: its import, the model, the first run."""

    import_seconds: float
    load_seconds: float
    first_seconds: float

    @property
    def seconds(self) -> float:
        return self.import_seconds + self.load_seconds + self.first_seconds


class BenchWorker:
    """An engine with a loaded model, in a process of its own.

    Args:
        engine: name in ``ENGINES``, or ``reference``: onnxruntime without graph optimisations.
        model: what the engine loads, see ``peer_models.model_for``.
        feeds: ``.npz`` file of the inputs, in the model's order.
        outputs: names of the model's outputs.
        threads: most threads of a run.
        sessions: how many sessions to load.

    Raises:
        OptionError: the engine cannot load or run the model.
    """

    def __init__(
        self,
        engine: str,
        model: Path,
        feeds: Path,
        outputs: Sequence[str],
        threads: int,
        *,
        sessions: int = 1,
    ) -> None:
        facts = ENGINES["onnxruntime" if engine == "reference" else engine]
        here = os.pathsep.join(entry for entry in sys.path if entry)
        paths = {"PYTHONPATH": "" if facts.is_elsewhere else here}
        environment = {**os.environ, **paths, "OMP_NUM_THREADS": str(threads)}
        # Installed engines have their bytecode: without its own, cnnc would be compiled at every start.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.engine = engine
        # -P: the program's folder holds modules named like some of the standard library.
        self._process = subprocess.Popen(
            [facts.interpreter, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if engine == "cnnc" else subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        request = {"engine": engine, "model": str(model), "feeds": str(feeds), "outputs": list(outputs)}
        try:
            loaded = self._ask({**request, "threads": threads, "sessions": sessions})
        except BaseException:
            self.close()
            raise
        self.start = Start(*(float(loaded[f"{part}_seconds"]) for part in ("import", "load", "first")))
        self.version = str(loaded["version"])

    def times(self, seconds: float) -> list[float]:
        """Seconds of each run in a slice of about ``seconds``; at least one."""
        return [float(value) for value in self._ask({"seconds": seconds})["times"]]

    def times_at_once(self, seconds: float) -> tuple[list[list[float]], float]:
        """Seconds of each run of each session, all running side by side for ``seconds``; and how long that took."""
        answer = self._ask({"at_once": seconds})
        return [[float(value) for value in times] for times in answer["times"]], float(answer["seconds"])

    def peak_bytes(self) -> int | None:
        """The largest resident set of the process so far; None where the system does not tell."""
        value = self._ask({"memory": True})["peak_bytes"]
        return None if value is None else int(value)

    def save_outputs(self, path: Path) -> None:
        """Run once and write the outputs to an ``.npz`` file, as arr_0, arr_1, ..."""
        self._ask({"save": str(path)})

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise OptionError(
                f"{self.engine} cannot run it: {answer['error']}", where="bench", hint="leave it out of --against"
            )
        return answer
