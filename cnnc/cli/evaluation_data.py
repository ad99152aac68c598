"""Evaluation data from ``--eval``: labelled arrays in an .npz file, or a function in a Python file that scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnc.cli.images import ImageSettings
from cnnc.cli.inputs import read_feeds
from cnnc.cli.python_file import python_failure, run_python_file
from cnnc.errors import OptionError, UserError
from cnnc.runtime.program import Port

if TYPE_CHECKING:
    from cnnc.observation.evaluation import Evaluation, Predict, Score

_HINT = "give data.npz with an array for every input and labels, or reader.py:score"


def evaluation_of(text: str, ports: Sequence[Port], settings: ImageSettings) -> Evaluation:
    """What ``--eval`` names.

    Args:
        text: ``data.npz``, or ``reader.py:score``: a function that is given a function from inputs to results by name,
            and returns how good the results are.

    Raises:
        InputError, OptionError: there is no such data or function.
    """
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py") and name.isidentifier():
        return _from_python(Path(file), name)
    if not Path(text).is_file():
        raise OptionError("there is no such file", where=f"--eval {text}", hint=_HINT)
    if Path(text).suffix != ".npz":
        raise OptionError("this is neither an .npz nor a function", where=f"--eval {text}", hint=_HINT)
    return read_feeds([text], ports, settings)


def _from_python(path: Path, name: str) -> Score:
    if not path.is_file():
        raise OptionError("there is no such file", where=f"--eval {path}", hint="check the path")
    function = run_python_file(path).get(name)
    if not callable(function):
        raise OptionError(f"the file defines no function {name!r}", where=f"--eval {path}", hint=_HINT)

    def score(predict: Predict) -> float:
        try:
            value: float = function(predict)
        except UserError:
            raise
        except Exception as error:
            raise python_failure(path, error) from error
        return value

    return score
