"""The language of networks under its short name: ``from cnnc import dsl`` or ``import cnnc.dsl``."""

from cnnc.frontends.dsl import *  # noqa: F403
from cnnc.frontends.dsl import __all__ as __all__
