"""One engine in a process of its own. Requests and answers are JSON, a line each, on standard input and output.

The first request says what to load: {"engine", "model", "feeds", "threads"}; the answer is {"seconds", "version"}.
Each later one asks for a slice: {"seconds"}; the answer is {"times"}, the seconds of each run in it. A run that is not
timed goes first, because other engines have used the caches since the last slice. A failure is answered {"error"}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cnnc.cli.engines import ENGINES, Runner
from cnnc.errors import OptionError

MAX_RUNS = 2000
"""Most runs in one slice."""


class BenchWorker:
    """The parent's end: starts the process and loads the engine.

    Raises:
        OptionError: the engine cannot load or run the model.
    """

    def __init__(self, engine: str, model: Path, feeds: Path, threads: int) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}
        self.engine = engine
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cnnc.cli.bench_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        request = {"engine": engine, "model": str(model), "feeds": str(feeds), "threads": threads}
        try:
            loaded = self._ask(request)
        except BaseException:
            self.close()
            raise
        self.load_seconds = float(loaded["seconds"])
        self.version = str(loaded["version"])

    def times(self, seconds: float) -> list[float]:
        """Seconds of each run in a slice of about ``seconds``; at least one."""
        return [float(value) for value in self._ask({"seconds": seconds})["times"]]

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


def slice_times(run: Runner, seconds: float) -> list[float]:
    """Seconds of each run until ``seconds`` have passed, after one that is not timed."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < MAX_RUNS:
        start = time.perf_counter()
        run()
        stop = time.perf_counter()
        times.append(stop - start)
        if stop >= end:
            break
    return times


def _load(request: dict[str, Any]) -> tuple[Runner, dict[str, Any]]:
    import numpy as np

    with np.load(request["feeds"], allow_pickle=False) as archive:
        feeds = {name: archive[name] for name in archive.files}
    start = time.perf_counter()
    engine = ENGINES[request["engine"]]
    run = engine.load(Path(request["model"]), feeds, request["threads"])
    run()
    return run, {"seconds": time.perf_counter() - start, "version": engine.version()}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not look like an answer
    run: Runner | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if run is None:
                run, answer = _load(request)
            else:
                answer = {"times": slice_times(run, request["seconds"])}
        except Exception as error:  # engines raise classes of their own
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
