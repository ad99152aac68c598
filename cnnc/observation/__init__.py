"""A float model on sample data: what its tensors and layers see, and how good it is.

``observed`` runs a model and gives its inner values. ``layer_rows`` writes layers as products of rows, and
``input_moments`` has mean and second moments of what they read; ``first_and_last`` finds the layers at the ends.
``evaluation`` scores a model on labelled data, ``signal_to_noise`` compares its results with those of another.

Quantization and pruning both stand on it.
"""
