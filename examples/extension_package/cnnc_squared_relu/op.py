"""The op: what the compiler knows of ``squared_relu``.

Source: So et al., "Primer: Searching for Efficient Transformers for Language Modeling" (2021).
"""

from cnnc.ops.opdef import OpDef, same_type

SQUARED_RELU = OpDef("squared_relu", same_type, elementwise=True, follows_layout=True)
"""One input, one output of its type. The kernel works in blocked layout too: convolutions around it convert nothing."""
