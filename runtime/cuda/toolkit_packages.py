"""Names of the packages that GPU programs take, for errors where one is missing."""

from __future__ import annotations

from cnnc.errors import OptionError

INSTALL = "pip install 'cnnc[cuda13]', or 'cnnc[cuda12]' for drivers of CUDA 12"
"""The next step where a package is missing."""
NO_COMPILER = "GPU kernels are compiled by the package numba-cuda, which is not installed"


def missing_package(what: str) -> OptionError:
    """The error for a package that the extras bring and that is not there; ``what`` is a sentence."""
    return OptionError(what, where="target cuda", hint=INSTALL)
