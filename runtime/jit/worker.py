"""A process that fills the cache: reads one variant a line (JSON) from standard input, answers each with one line.

    python -m cnnc.runtime.jit.worker

Workers are plain child processes, not those of ``multiprocessing``, which would run the user's main script again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

from cnnc.errors import InternalError
from cnnc.runtime.kernel import Target, Variant


class Worker:
    """One child process; compiles a variant at a time."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cnnc.runtime.jit.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def compile(self, variant: Variant, target: Target) -> None:
        """Have ``variant`` in the cache.

        Raises:
            InternalError: it did not compile, or the process died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"kernel": variant.kernel, "params": variant.params, "target": asdict(target)}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise InternalError(f"the process that compiles {variant} has ended") from error
        answer = self._process.stdout.readline().strip()
        if answer != "ready":
            raise InternalError(f"kernel {variant} did not compile: {answer or 'the process has ended'}")

    def close(self) -> None:
        """End the process once its variant is done."""
        self._process.communicate()


def main() -> None:
    from cnnc.runtime.kernel_cache import compile_into_cache

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        variant = Variant(request["kernel"], tuple((key, value) for key, value in request["params"]))
        try:
            compile_into_cache(variant, Target(**request["target"]))
            answer = "ready"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".replace("\n", " ")
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
