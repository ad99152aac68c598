"""Names of the activations that kernels fuse into their epilogue, known without loading a compiler."""

from __future__ import annotations

ACTIVATIONS = (
    *("none", "relu", "clip", "leaky_relu", "prelu", "thresholded_relu", "sigmoid", "tanh", "hard_sigmoid"),
    *("hard_swish", "silu", "mish", "gelu", "gelu_tanh", "softplus", "softsign", "elu", "selu", "celu"),
)
"""Parameters: clip (alpha: least, beta: greatest), leaky_relu (alpha), prelu (slopes per channel), thresholded_relu
(alpha), hard_sigmoid (alpha, beta), elu and celu (alpha), selu (alpha, beta: gamma); the others have none."""
