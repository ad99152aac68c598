"""Lays the tensors of a file beside the weights of a model, by name and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from cnnc.errors import ModelError, OptionError
from cnnc.frontends.weights.weights import Weights
from cnnc.frozen_dataclass import dataclass
from cnnc.ir.fact import Array

WRAPPERS = ("module.", "model.")
"""Prefixes that wrappers put before every name: DataParallel's, and that of training frameworks."""
BOOKKEEPING = "num_batches_tracked"
"""PyTorch's batch normalization counts its training steps under this name; inference does not need it."""
MAX_LINES = 20
"""Tensors of one kind that a report lists."""


@dataclass(frozen=True, slots=True)
class Misshaped:
    """A tensor that has another shape than the weight of its name."""

    name: str
    expected: tuple[int, ...]
    got: tuple[int, ...]

    def __str__(self) -> str:
        turned = ", which is transposed" if len(self.got) == 2 and self.got == self.expected[::-1] else ""
        return f"{self.name}: expected {list(self.expected)}, got {list(self.got)}{turned}"


@dataclass(frozen=True, slots=True)
class WeightMatch:
    """What fits and what does not. Names are the model's, but for ``unexpected``, which are the file's.

    Attributes:
        matched: arrays of the right name and shape.
        missing: weights that the file does not have.
        unexpected: tensors that the model does not have.
        misshaped: tensors of another shape.
        stripped: the prefix that was taken off the file's names; empty if none was.
    """

    matched: Mapping[str, Array]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshaped: tuple[Misshaped, ...]
    stripped: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether the file has exactly the model's weights."""
        return not (self.missing or self.unexpected or self.misshaped)

    def report(self) -> str:
        """The result in plain text: one line, and one more for every tensor that does not fit."""
        weights = len(self.matched) + len(self.missing) + len(self.misshaped)
        lines = [f"{len(self.matched)} of {weights} weights match"]
        if self.stripped:
            lines[0] += f" (without the prefix {self.stripped!r} of the file's names)"
        lines += _section("missing in the file", self.missing)
        lines += _section("not in the model", self.unexpected)
        lines += _section("of another shape", [str(tensor) for tensor in self.misshaped])
        return "\n".join(lines)

    def check_complete(self, origin: str) -> None:
        """Refuse a file that has not exactly the model's weights.

        Raises:
            ModelError: with the report.
        """
        if self.is_complete:
            return
        hint = "give the file of this model, map its names with rename, or load what matches with strict=False"
        raise ModelError(f"the weights are not the model's: {self.report()}", where=origin, hint=hint)


def match_weights(
    expected: Mapping[str, tuple[int, ...]],
    given: Mapping[str, Array],
    *,
    rename: Mapping[str, str] | None = None,
    prefixes: Sequence[str] = WRAPPERS,
) -> WeightMatch:
    """Find an array in ``given`` for every name and shape in ``expected``.

    PyTorch's ``num_batches_tracked`` is neither missing nor unexpected.

    Args:
        rename: the model's name for names of the file; a name that is no tensor, but ends with a dot, renames all
            names that begin with it.
        prefixes: the first of them, or of their pairs, without which more of the file's names fit, is taken off.

    Raises:
        OptionError: ``rename`` has a name that the file does not have, or gives two tensors one name.
    """
    names = _renamed(list(given), rename or {})
    names, stripped = _without_prefixes(names, expected, prefixes)
    sources = {name: source for source, name in names.items()}
    matched: dict[str, Array] = {}
    missing, misshaped = [], []
    for name, shape in expected.items():
        if name not in sources:
            if not _is_bookkeeping(name):
                missing.append(name)
            continue
        source = sources[name]
        got = given.shape(source) if isinstance(given, Weights) else tuple(given[source].shape)
        if got == tuple(shape):
            matched[name] = given[source]
        else:
            misshaped.append(Misshaped(name, tuple(shape), got))
    unexpected = tuple(source for source, name in names.items() if name not in expected and not _is_bookkeeping(name))
    return WeightMatch(MappingProxyType(matched), tuple(missing), unexpected, tuple(misshaped), stripped)


def _is_bookkeeping(name: str) -> bool:
    return name.rpartition(".")[2] == BOOKKEEPING


def _renamed(names: list[str], rename: Mapping[str, str]) -> dict[str, str]:
    """The model's name for each of the file's."""
    renamed = {name: name for name in names}
    for old, new in rename.items():
        chosen = [old] if old in renamed else [name for name in names if old.endswith(".") and name.startswith(old)]
        if not chosen:
            near = ", ".join(map(repr, get_close_matches(old, names, 3)))
            hint = f"the file has {near}" if near else "look at the names with list(read_weights(path))"
            raise OptionError(f"rename: the file has no tensor {old!r}", hint=hint)
        for name in chosen:
            renamed[name] = new + name[len(old) :]
    sources: dict[str, str] = {}
    for source, name in renamed.items():
        if name in sources:
            what = f"rename: {sources[name]!r} and {source!r} would both be {name!r}"
            raise OptionError(what, hint="give each tensor a name of its own")
        sources[name] = source
    return renamed


def _without_prefixes(
    names: dict[str, str], expected: Mapping[str, tuple[int, ...]], prefixes: Sequence[str]
) -> tuple[dict[str, str], str]:
    """The names without the first prefix, or pair of prefixes, that stands in the way, and what was taken off."""
    fitting = sum(name in expected for name in names.values())
    for prefix in (*prefixes, *(outer + inner for outer in prefixes for inner in prefixes)):
        shorter = {source: name.removeprefix(prefix) for source, name in names.items()}
        is_better = sum(name in expected for name in shorter.values()) > fitting
        if is_better and len(set(shorter.values())) == len(shorter):
            return shorter, prefix
    return names, ""


def _section(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    rest = [f"    and {len(names) - MAX_LINES} more"] if len(names) > MAX_LINES else []
    return [f"  {len(names)} {title}:", *(f"    {name}" for name in names[:MAX_LINES]), *rest]
