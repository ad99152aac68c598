"""What a command's MODEL names: a model file, a model in a Python file (``net.py:model``), or ``models:resnet18``."""

from __future__ import annotations

import shlex
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnnc.cli.python_file import python_failure, run_python_file
from cnnc.errors import ModelError, OptionError, UserError

if TYPE_CHECKING:
    from cnnc.compiler import Model
    from cnnc.dsl import Model as PythonModel

    ParamType = click.ParamType["ModelSource"]
else:
    # Generic for type checkers only: click 8.1 has no parameters.
    ParamType = click.ParamType

MODEL_TYPES = ".onnx, .cnnc or .ir file, net.py:model, or models:resnet18"

_CATALOG = "models:"


class ModelSource(ABC):
    """A model that was named on the command line; nothing is read before it is asked for."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The model in messages."""

    @property
    def argument(self) -> str:
        """The model on a command line."""
        return self.name

    @property
    def suffix(self) -> str:
        """Of a model file: .onnx, .cnnc, .ir; "" otherwise."""
        return ""

    @abstractmethod
    def check(self) -> None:
        """Refuse what does not exist before anything is imported.

        Raises:
            OptionError: there is no such file or network.
        """

    @abstractmethod
    def load(self) -> Model:
        """What ``cnnc.compile`` takes."""

    @abstractmethod
    def output(self, suffix: str) -> Path:
        """Where a command that writes a file puts it unless told otherwise."""

    def artifact(self) -> Path | None:
        """The path of a compiled model, if it is one."""
        return None

    def check_onnx(self) -> None:  # noqa: B027 - most models have nothing to refuse
        """Refuse a model that no ONNX file can be made of.

        Raises:
            OptionError: it is compiled already.
        """

    @contextmanager
    def onnx_file(self) -> Iterator[Path]:
        """An ONNX file of the model, for other engines: the model's own, or one that lasts as long as the context."""
        from cnnc.exporting import export_onnx

        with tempfile.TemporaryDirectory(prefix="cnnc-export-") as folder:
            path = Path(folder) / "model.onnx"
            export_onnx(self.load(), path)
            yield path


@dataclass(frozen=True)
class FileSource(ModelSource):
    """An .onnx, .cnnc or .ir file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def argument(self) -> str:
        return shlex.quote(str(self.path))

    @property
    def suffix(self) -> str:
        return self.path.suffix

    def check(self) -> None:
        """See ``ModelSource``."""
        if self.path.is_dir():
            raise OptionError("this is a folder", where=str(self.path), hint=f"give an {MODEL_TYPES}")
        if not self.path.exists():
            raise OptionError("there is no such file", where=str(self.path), hint="check the path")

    def load(self) -> Model:
        """The path; a text graph is read here, since the compiler takes none."""
        if self.suffix != ".ir":
            return self.path
        from cnnc.ir.text_file import load_graph
        from cnnc.ops import OPS

        return load_graph(self.path, OPS)

    def artifact(self) -> Path | None:
        """See ``ModelSource``."""
        from cnnc.runtime.artifact_format import MAGIC

        with self.path.open("rb") as file:
            return self.path if file.read(len(MAGIC)) == MAGIC else None

    def output(self, suffix: str) -> Path:
        """Beside the model."""
        return self.path.with_suffix(suffix)

    def check_onnx(self) -> None:
        """See ``ModelSource``."""
        if self.suffix == ".cnnc":
            raise OptionError("other engines cannot read it", where=str(self.path), hint="give the .onnx file")

    @contextmanager
    def onnx_file(self) -> Iterator[Path]:
        """The file itself; a text graph is exported."""
        self.check_onnx()
        if self.suffix != ".ir":
            yield self.path
            return
        with super().onnx_file() as path:
            yield path


@dataclass(frozen=True)
class PythonSource(ModelSource):
    """A ``dsl.Model`` in a Python file, or a function without arguments that returns one.

    The file is run, as ``python net.py`` would run it: it is the user's program, not data.
    """

    path: Path
    attribute: str

    @property
    def name(self) -> str:
        return f"{self.path.name}:{self.attribute}" if self.attribute else self.path.name

    @property
    def argument(self) -> str:
        return shlex.quote(f"{self.path}:{self.attribute}" if self.attribute else str(self.path))

    def check(self) -> None:
        """See ``ModelSource``."""
        if not self.path.is_file():
            raise OptionError("there is no such file", where=str(self.path), hint="check the path")

    def load(self) -> PythonModel:
        """Run the file, once, and take the model.

        Raises:
            ModelError: the file fails, or has no such model.
        """
        return self._model

    @cached_property
    def _model(self) -> PythonModel:
        return _as_model(self._find(run_python_file(self.path)), self.name)

    def _find(self, namespace: dict[str, Any]) -> Any:
        from cnnc.dsl import Model

        models = [name for name, item in namespace.items() if isinstance(item, Model)]
        listed = ", ".join(f"{self.path.name}:{name}" for name in models)
        if not self.attribute:
            if len(models) == 1:
                return namespace[models[0]]
            what = f"it holds {len(models)} models" if models else "it holds no dsl.Model"
            raise ModelError(what, where=str(self.path), hint=f"say which: {listed or 'net.py:function'}")
        if self.attribute not in namespace:
            hint = f"it has {listed}" if models else "make one with dsl.model(network, inputs)"
            raise ModelError(f"the file defines no {self.attribute!r}", where=str(self.path), hint=hint)
        return namespace[self.attribute]

    def output(self, suffix: str) -> Path:
        """Beside the Python file."""
        return self.path.with_suffix(suffix)


@dataclass(frozen=True, slots=True)
class CatalogSource(ModelSource):
    """A network of ``cnnc.models``."""

    network: str

    @property
    def name(self) -> str:
        return f"{_CATALOG}{self.network}"

    def check(self) -> None:
        """See ``ModelSource``."""
        from cnnc import models

        models.find(self.network)

    def load(self) -> PythonModel:
        """The network with seeded random numbers."""
        from cnnc import models

        return models.model(self.network)

    def output(self, suffix: str) -> Path:
        """In the working directory."""
        return Path(f"{self.network}{suffix}")


class ModelType(ParamType):
    """The click type of a MODEL argument."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ModelSource:
        """A ``ModelSource`` from the text on the command line."""
        return value if isinstance(value, ModelSource) else model_source(str(value))


def model_source(text: str) -> ModelSource:
    """What ``text`` names. A file of that very name comes first."""
    path = Path(text)
    if path.suffix == ".py":
        return PythonSource(path, "")
    if path.exists():
        return FileSource(path)
    if text.startswith(_CATALOG):
        return CatalogSource(text.removeprefix(_CATALOG))
    file, colon, attribute = text.rpartition(":")
    if colon and file.endswith(".py") and attribute.isidentifier():
        return PythonSource(Path(file), attribute)
    return FileSource(path)


def _as_model(item: Any, name: str) -> PythonModel:
    from cnnc.dsl import Model

    if not isinstance(item, Model) and callable(item):
        try:
            item = item()
        except UserError:
            raise
        except Exception as error:
            raise python_failure(Path(name), error) from error
    if not isinstance(item, Model):
        raise ModelError(
            f"it is {type(item).__name__}, not a model", where=name, hint="make one with dsl.model(network, inputs)"
        )
    return item
