"""Runs a Python file of the user's: a model, or what reads calibration data."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from cnnc.errors import ModelError, UserError


def run_python_file(path: Path) -> dict[str, Any]:
    """The globals of a Python file that was run.

    Raises:
        UserError: what the language refused, as it is.
        ModelError: anything else that went wrong, with the file's own line.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError("this is no Python file", where=str(path), hint="give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent.resolve())
    # As for a script: files beside it can be imported.
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise python_failure(path, error) from error
    return vars(module)


def python_failure(path: Path, error: Exception) -> ModelError:
    """An exception of the user's own code, with the innermost line of it."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/cnnc/cli/" not in frame.filename and "importlib" not in frame.filename]
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)
    return ModelError(f"{type(error).__name__}: {error}", where=where, hint="mend the file; nothing was compiled")
