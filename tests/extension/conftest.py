"""Fixtures of the tests of extensions."""

from tests.extension.fake_package import installed

__all__ = ["installed"]
