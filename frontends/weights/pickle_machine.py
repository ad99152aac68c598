"""Reads a pickle without executing it.

A pickle is a program for a stack machine whose opcodes build lists, tables, texts and numbers, and which may name any
function of any module and call it. This machine builds the former itself. It imports nothing and calls nothing: what
the pickle names and "calls" goes to a ``Vocabulary``, which knows the few names that may occur and answers with facts.
The standard library's ``pickletools`` decodes the opcodes, which it does without executing them.

Opcodes that only sets, instances of classes and extensions need are refused. Bounds on bytes and opcodes keep time and
memory bounded; nothing here recurses, so neither does depth matter.

Sources: Python's documentation of ``pickletools``; PEPs 307, 3154 and 574 for protocols 2, 4 and 5.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn, Protocol

from cnnc.errors import ModelError, UnsupportedError
from cnnc.frontends.weights.stored_tensor import DAMAGED

MAX_PICKLE_BYTES = 32 << 20
MAX_OPCODES = 1 << 21
"""A tensor of a state_dict takes about 35: enough for 50,000 tensors."""
MAX_INT_BITS = 128
MAX_KEY = 1 << 32
"""Whole numbers that are keys of tables lie below: larger ones can be chosen so that all have one hash."""


class Vocabulary(Protocol):
    """What the names in a pickle mean. Its methods raise a UserError for what they do not know."""

    def name(self, module: str, name: str) -> object:
        """The meaning of a global name."""

    def call(self, function: object, arguments: tuple[object, ...]) -> object:
        """The result of a call; ``function`` is an object that ``name`` returned, or any other object of the pickle."""

    def persistent(self, identity: object) -> object:
        """The object outside of the pickle that ``identity`` stands for."""


def read_pickle(stream: BinaryIO, vocabulary: Vocabulary, where: str) -> object:
    """The object of the next pickle in the stream, which is left behind its last opcode.

    Lists, tuples, dicts, str, bytes, int, float, bool and None are themselves; an OrderedDict is what the vocabulary
    makes of it.

    Raises:
        ModelError: the pickle is damaged or longer than the bounds above.
        UnsupportedError: an opcode, or a name of the vocabulary's, that is not known.
    """
    machine = _Machine(vocabulary, where)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count >= MAX_OPCODES:
                raise ModelError(f"its pickle has more than {MAX_OPCODES} opcodes", where=where, hint=DAMAGED)
            machine.position = position or 0
            machine.step(opcode.name, argument)
    except ValueError as error:
        # pickletools: an unknown opcode, an argument that is cut off or makes no sense, or no end.
        raise ModelError(f"its pickle is damaged ({error!s:.200})", where=where, hint=DAMAGED) from error
    return machine.result()


def kind(value: object) -> str:
    """What a value of a pickle is, in words; texts are quoted, tables and lists are not looked into."""
    if isinstance(value, str):
        return f"the text {value!r:.60}"
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, int):
        return f"the number {value}"
    words: dict[type, str] = {dict: "a table", list: "a list", tuple: "a tuple", bytes: "bytes"}
    return words[type(value)] if type(value) in words else str(value)[:120]


class _Machine:
    """Stack, marks into it, and memo."""

    def __init__(self, vocabulary: Vocabulary, where: str) -> None:
        self.position = 0
        self._vocabulary = vocabulary
        self._where = where
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Execute one opcode with its decoded argument."""
        if opcode in _LITERALS:
            self._literal(argument)
            return
        action = _ACTIONS.get(opcode)
        if action is None:
            what = f"its pickle uses the opcode {opcode}, which no state_dict needs"
            raise UnsupportedError(what, where=self._where, hint=RESAVE)
        action(self, argument)

    def result(self) -> object:
        value = self._pop()
        if self._stack or self._marks:
            self._damaged("leaves objects on its stack")
        return value

    def _literal(self, value: object) -> None:
        if type(value) is int and value.bit_length() > MAX_INT_BITS:
            self._damaged(f"holds a number of {value.bit_length()} bits")
        self._stack.append(value)

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            self._damaged("takes from an empty stack")
        return self._stack.pop()

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _pop_to_mark(self) -> list[Any]:
        if not self._marks:
            self._damaged("takes to a mark that is not there")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop_count(self, count: int) -> tuple[Any, ...]:
        return tuple(self._pop() for _ in range(count))[::-1]

    def _pop_or_unmark(self) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _remember(self, index: int) -> None:
        if not 0 <= index < MAX_OPCODES:
            self._damaged("remembers an object under an impossible number")
        self._memo[index] = self._top()

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            self._damaged("asks for an object that it has not stored")
        self._stack.append(self._memo[index])

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            self._damaged(f"appends to {kind(target)}, not to a list")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is not dict or len(items) % 2:
            self._damaged(f"puts {len(items)} keys and values into {kind(target)}, not pairs into a table")
        for key, value in zip(items[::2], items[1::2]):
            if type(key) is not str and not (type(key) is int and 0 <= key < MAX_KEY):
                self._damaged(f"has {kind(key)} as a key; expected a text or a number below 2^32")
            if key in target:
                self._damaged(f"sets the key {key!r:.80} twice")
            target[key] = value

    def _new_dict(self) -> None:
        items = self._pop_to_mark()
        self._stack.append({})
        self._set_items(items)

    def _name(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str:
            self._damaged("names a function by something that is no text")
        self._stack.append(self._vocabulary.name(module, name))

    def _call(self) -> None:
        function, arguments = self._pop_count(2)
        if type(arguments) is not tuple:
            self._damaged(f"calls a function with {kind(arguments)}, not with a tuple")
        self._stack.append(self._vocabulary.call(function, arguments))

    def _build(self) -> None:
        """Attributes of an object: those of an OrderedDict (the versions of a module's layers) are not needed."""
        target, state = self._pop_count(2)
        if type(target) is not dict or type(state) is not dict:
            self._damaged(f"sets attributes of {kind(target)} from {kind(state)}")
        self._stack.append(target)

    def _damaged(self, what: str) -> NoReturn:
        raise ModelError(f"its pickle {what} (at byte {self.position})", where=self._where, hint=DAMAGED)


RESAVE = (
    "if you trust the file, load it with PyTorch and save its state_dict() with safetensors.torch.save_file "
    "(docs/weights.md shows how)"
)

_LITERALS = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT NONE NEWTRUE NEWFALSE "
    "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8".split()
)
"""Opcodes that push their argument; ``pickletools`` has decoded it."""

_ACTIONS: dict[str, Callable[[_Machine, Any], object]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "STOP": lambda machine, argument: None,
    "MARK": lambda machine, argument: machine._marks.append(len(machine._stack)),
    "POP": lambda machine, argument: machine._pop_or_unmark(),
    "POP_MARK": lambda machine, argument: machine._pop_to_mark(),
    "DUP": lambda machine, argument: machine._stack.append(machine._top()),
    "EMPTY_DICT": lambda machine, argument: machine._stack.append({}),
    "EMPTY_LIST": lambda machine, argument: machine._stack.append([]),
    "EMPTY_TUPLE": lambda machine, argument: machine._stack.append(()),
    "DICT": lambda machine, argument: machine._new_dict(),
    "LIST": lambda machine, argument: machine._stack.append(machine._pop_to_mark()),
    "TUPLE": lambda machine, argument: machine._stack.append(tuple(machine._pop_to_mark())),
    "TUPLE1": lambda machine, argument: machine._stack.append(machine._pop_count(1)),
    "TUPLE2": lambda machine, argument: machine._stack.append(machine._pop_count(2)),
    "TUPLE3": lambda machine, argument: machine._stack.append(machine._pop_count(3)),
    "APPEND": lambda machine, argument: machine._append([machine._pop()]),
    "APPENDS": lambda machine, argument: machine._append(machine._pop_to_mark()),
    "SETITEM": lambda machine, argument: machine._set_items(list(machine._pop_count(2))),
    "SETITEMS": lambda machine, argument: machine._set_items(machine._pop_to_mark()),
    "PUT": lambda machine, argument: machine._remember(argument),
    "BINPUT": lambda machine, argument: machine._remember(argument),
    "LONG_BINPUT": lambda machine, argument: machine._remember(argument),
    "MEMOIZE": lambda machine, argument: machine._remember(len(machine._memo)),
    "GET": lambda machine, argument: machine._recall(argument),
    "BINGET": lambda machine, argument: machine._recall(argument),
    "LONG_BINGET": lambda machine, argument: machine._recall(argument),
    "GLOBAL": lambda machine, argument: machine._name(*argument.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, argument: machine._name(*machine._pop_count(2)),
    "REDUCE": lambda machine, argument: machine._call(),
    "BUILD": lambda machine, argument: machine._build(),
    "BINPERSID": lambda machine, argument: machine._stack.append(machine._vocabulary.persistent(machine._pop())),
}
