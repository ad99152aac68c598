"""Classic convolutional networks, each written in a few dozen lines of ``cnnc.dsl``.

    from cnnc import models

    model = models.model("resnet18")        # a dsl.Model with seeded random numbers
    model.load("resnet18.pth")              # names are those of PyTorch's state_dict files

One file holds one family; ``catalog`` lists what they offer, with published parameter and operation counts.
"""

from cnnc.models.catalog import Entry, entries, find, model

__all__ = ["Entry", "entries", "find", "model"]
