"""What a user may choose of a pruning."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cnnc.errors import OptionError
from cnnc.pruning.patterns import NofM, Pattern, parse_pattern

CRITERIA = ("magnitude", "lp", "gradient", "taylor", "bn-scale")
"""What a weight is worth, see ``criteria``."""

SCOPES = ("layer", "global", "lamp")
"""Whether every layer has the ratio, or all layers together; of ``lamp`` see there."""

NEEDS_GRADIENTS = ("gradient", "taylor")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to prune. Ratios are shares of weights that become 0, at least 0 and less than 1.

    Attributes:
        sparsity: ratio of the layers that ``ratios`` does not name; None: those stay dense. A pattern N:M says itself
            how many weights go.
        pattern: ``unstructured``; ``block4`` (or another size), see ``patterns.Blocks``; or ``2:4`` and the like, see
            ``patterns.NofM``.
        criterion: of ``CRITERIA``.
        p: for ``lp``, the exponent of the norm of a block: 1, 2, any other above 0, or infinity.
        scope: of ``SCOPES``. ``global`` removes the weights of least worth wherever they are, so that layers have
            ratios of their own; so does ``lamp``, by their share of what their layer has left.
        max_layer_sparsity: with ``global`` and ``lamp``, no layer loses more than this share.
        ratios: names of layers or of their weights, and their own ratio; the last one that fits counts. Their layers
            do not take part in the global comparison, and are pruned even where they would stay dense.
        exclude: names of layers or of their weights that stay dense.
        prune_first: convolutions that read the model's inputs are pruned too. They have few weights, and kernels of
            their own that read images.
        prune_last: layers that give the model's results are pruned.
        prune_depthwise: depthwise convolutions are pruned too. They have few weights, and each of these matters.

    In names ``*`` stands for any text and ``?`` for any character.

    Raises:
        OptionError: a value that makes no sense.
    """

    sparsity: float | None = None
    pattern: str = "unstructured"
    criterion: str = "magnitude"
    p: float = 2.0
    scope: str = "global"
    max_layer_sparsity: float = 1.0
    ratios: tuple[tuple[str, float], ...] = ()
    exclude: tuple[str, ...] = ()
    prune_first: bool = False
    prune_last: bool = True
    prune_depthwise: bool = False

    def __post_init__(self) -> None:
        pattern = self.parsed_pattern
        if self.criterion not in CRITERIA:
            raise OptionError(f"there is no criterion {self.criterion!r}", hint=f"use {', '.join(CRITERIA)}")
        if self.scope not in SCOPES:
            raise OptionError(f"there is no scope {self.scope!r}", hint=f"use {', '.join(SCOPES)}")
        if not self.p > 0:
            raise OptionError(f"p={self.p} gives no norm", where="p", hint="give 1, 2, another number above 0, or inf")
        if not 0 < self.max_layer_sparsity <= 1:
            what = f"max_layer_sparsity={self.max_layer_sparsity} is not above 0 and at most 1"
            raise OptionError(what, where="max_layer_sparsity", hint="give 0.98, for example")
        for where, ratio in [("sparsity", self.sparsity), *self.ratios]:
            if ratio is not None and not 0 <= ratio < 1:
                what = f"{ratio} is no share of weights to remove: it lies from 0 to below 1"
                raise OptionError(what, where=where, hint="give 0.9 to keep a tenth")
        if isinstance(pattern, NofM):
            self._check_fixed(pattern)

    def _check_fixed(self, pattern: NofM) -> None:
        share = 1 - pattern.kept / pattern.size
        if self.ratios:
            what = f"in pattern {self.pattern} every layer keeps as many weights"
            raise OptionError(what, where="ratios", hint="leave them out, or exclude layers")
        if self.sparsity is not None and not math.isclose(self.sparsity, share):
            what = f"pattern {self.pattern} removes {share:g} of the weights, not {self.sparsity:g}"
            raise OptionError(what, where="sparsity", hint="leave the sparsity out, or choose another pattern")

    def check_amount(self) -> None:
        """Refuse settings that do not say how many weights go.

        Raises:
            OptionError: there is neither a sparsity nor a ratio, and the pattern needs one.
        """
        if self.sparsity is None and not self.ratios and not isinstance(self.parsed_pattern, NofM):
            raise OptionError("it is not said how many weights go", where="sparsity", hint="give 0.9 to keep a tenth")

    @property
    def parsed_pattern(self) -> Pattern:
        """The pattern's own form."""
        return parse_pattern(self.pattern)
