"""Weight files: ``read_weights``, ``write_weights``, and ``match_weights``, which lays their names beside a model's.

``reader`` knows a file by its first bytes and hands it to ``npz``, ``safetensors``, ``torch_zip`` or ``torch_legacy``.
Each of these says where in the file the tensors lie (``stored_tensor``), having checked every number it was told;
``weights`` makes arrays of that when they are asked for. ``pickle_machine`` reads the pickles in PyTorch's files
without executing them, ``torch_pickle`` holds the few names that it may meet there, and ``checkpoint`` finds the
state_dict among what else a training run saves.
"""

from cnnc.frontends.weights.matching import Misshaped, WeightMatch, match_weights
from cnnc.frontends.weights.reader import read_weights
from cnnc.frontends.weights.weights import Weights
from cnnc.frontends.weights.writer import write_weights

if __name__ != "cnnc.frontends.weights":
    raise ImportError("import this package as cnnc.frontends.weights")

__all__ = ["Misshaped", "WeightMatch", "Weights", "match_weights", "read_weights", "write_weights"]
