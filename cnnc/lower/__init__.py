"""Lowering: a placed graph becomes a program. Kernel selection is one table of rules per op."""

from __future__ import annotations

from cnnc.lower.builder import Decision, Lowered, ProgramBuilder
from cnnc.lower.select import lower

__all__ = ["Decision", "Lowered", "ProgramBuilder", "lower"]
