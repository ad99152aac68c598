"""Finds the state_dict in what a training run saved: {"epoch": 90, "state_dict": {...}, "optimizer": {...}}."""

from __future__ import annotations

from collections.abc import Callable

from cnnc.errors import ModelError, OptionError
from cnnc.frontends.weights.pickle_machine import kind
from cnnc.frontends.weights.stored_tensor import StridedTensor
from cnnc.frontends.weights.torch_pickle import TorchTensor
from cnnc.frontends.weights.weights import Content

USUAL_ENTRIES = ("state_dict", "model_state_dict", "model")
"""Entries that hold the model's weights, by custom; the first of them that there is is taken."""
MAX_DEPTH = 3
MAX_KEY = 64
"""Characters of an entry's name; tables with longer names are not searched."""
MAX_LISTED = 1000

Table = dict[object, object]


def state_dict_content(
    what: str, root: object, entry: str | None, place: Callable[[TorchTensor, str], StridedTensor], where: str
) -> Content:
    """The tensors of the state_dict in ``root``.

    It is the table of tensors that ``entry`` leads to; without ``entry`` one of ``USUAL_ENTRIES``, then the file's
    table itself if tensors stand in it, then the only table of tensors that there is.

    Args:
        what: the format in words.
        entry: keys on the way to it, joined by "/"; "" is the file's table itself.
        place: where a tensor lies in the file, given what names it in errors.

    Raises:
        ModelError: there is no table of tensors, or several, none of them usual.
        OptionError: ``entry`` leads to no table of tensors.
    """
    tables = {path: table for path, table in _tables(root) if any(isinstance(v, TorchTensor) for v in table.values())}
    chosen = _choose(tables, root, entry, where)
    table = tables[chosen]
    tensors = []
    left_out = [f"{chosen}/{key}" if chosen else str(key) for key, value in table.items() if not _is_tensor(key, value)]
    for key, value in table.items():
        if isinstance(value, TorchTensor) and isinstance(key, str):
            tensors.append((key, place(value, f"{where}: tensor {key!r:.80}")))
    if chosen and isinstance(root, dict):
        left_out += [str(key) for key in root if key != chosen.split("/")[0]]
    return Content(what, tuple(tensors), chosen, tuple(left_out[:MAX_LISTED]))


def _is_tensor(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, TorchTensor)


def _tables(root: object) -> list[tuple[str, Table]]:
    """All tables down to ``MAX_DEPTH``, those further up first, each once."""
    found: list[tuple[str, Table]] = []
    level: list[tuple[str, object]] = [("", root)]
    seen: set[int] = set()
    for _ in range(MAX_DEPTH + 1):
        below: list[tuple[str, object]] = []
        for path, value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            found.append((path, value))
            for key, inner in value.items():
                if isinstance(key, str) and len(key) <= MAX_KEY and isinstance(inner, dict):
                    below.append((f"{path}/{key}" if path else key, inner))
        level = below
    return found


def _choose(tables: dict[str, Table], root: object, entry: str | None, where: str) -> str:
    listed = ", ".join(f"{path!r:.60}" for path in list(tables)[:8])
    if entry is not None:
        if entry in tables:
            return entry
        what = f"there is no table of tensors {entry!r:.80}; there is {listed or 'none'}"
        raise OptionError(what, where=where, hint="name one of these as entry")
    if not isinstance(root, dict):
        what = f"the file holds {kind(root)}; expected a table of names and tensors"
        raise ModelError(what, where=where, hint='save a state_dict, or torch.save({"name": tensor}, path)')
    if not tables:
        raise ModelError("the file holds no table of tensors", where=where, hint="save the model's state_dict()")
    for usual in USUAL_ENTRIES:
        for path in tables:
            if path.rpartition("/")[2] == usual:
                return path
    if "" in tables:
        return ""
    if len(tables) == 1:
        return next(iter(tables))
    hint = "say which one: read_weights(path, entry=...)"
    raise ModelError(f"the file holds several tables of tensors: {listed}", where=where, hint=hint)
