"""The error families of cnnc.

A *user error* says what is wrong, where in the model, what was expected and got, and the next step; commands end with
exit code 2 and no traceback. An *internal error* is a bug of cnnc: commands save the IR and end with exit code 3.
"""

from __future__ import annotations


class CnncError(Exception):
    """Base of everything cnnc raises on purpose."""

    exit_code = 3


class UserError(CnncError):
    """Something the user can mend.

    Args:
        what: one sentence that says what is wrong, expected and got included.
        where: the place: file, node name and op, input name, option.
        hint: the next step.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.what, self.where, self.hint = what, where, hint
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}\n  next step: {hint}" if hint else text)


class ModelError(UserError):
    """The model file or graph is malformed: truncated, contradictory, cyclic, out of bounds."""


class UnsupportedError(UserError):
    """The model is valid, but uses something cnnc does not compute. All cases are reported at once."""


class InputError(UserError):
    """Wrong name, rank, shape or dtype of an array handed to a compiled model."""


class ArtifactError(UserError):
    """A .cnnc file is truncated, corrupt, of a newer version, or for another target."""


class OptionError(UserError):
    """A command-line or keyword option has a value that makes no sense."""


class InternalError(CnncError):
    """A broken invariant inside cnnc: always a bug of ours."""


class VerifyError(InternalError):
    """The graph broke a rule of the IR or of its stage; the message names the node."""
