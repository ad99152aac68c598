"""Exercise 4: two rules, and an order of passes.

Replace what is missing or wrong, then: python examples/course.py check 4
"""

from __future__ import annotations

from cnnc.ir import Rule


def softsign_rule() -> Rule:
    """x / (1 + |x|), spelled with the ops div, add and abs, becomes softsign(x).

    The addends stand in any order. The 1 is a constant: one element, or several that are all 1. The result must have
    x's shape: a constant of ones of higher rank makes it a larger one, and then the rule refuses in a sentence.
    """
    raise NotImplementedError("exercise: return a Rule with a pattern, and a function that fills the patch")


def residual_rule() -> Rule:
    """The sum of a convolution's result and another tensor becomes a convolution with a residual, its input 3.

    Before: %y = conv(%x, %w, %b)   %z = add(%y, %skip)
    After:  %z = conv(%x, %w, %b, %skip)

    The addends stand in any order; b may be absent, and then input 2 is None. The rule refuses in a sentence where the
    convolution has a residual or an activation already (``conv.attrs.activation.is_identity`` says whether not), where
    skip is the convolution's own result, and where skip has not exactly the shape of the result: the kernel adds
    element by element and does not broadcast. That nobody else reads %y, the matcher sees to.
    """
    raise NotImplementedError("exercise: return a Rule; name the conv in the pattern and let it have further inputs")


ORDER = "fold-batch-norm,fuse-conv-activation,fuse-conv-residual,recognize-silu"
"""The four passes, once each, in the order that leaves the fewest nodes of

    y = batch_norm(conv(x)) + x
    result = y * sigmoid(y)

Alphabetical order does not.
"""
