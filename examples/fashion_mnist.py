"""Fashion-MNIST from a folder: the files of its distribution, or NumPy archives.

Either ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the two of ``t10k``, each perhaps with ``.gz``; or
``fashion_mnist_train.npz`` and ``fashion_mnist_test.npz`` with ``images`` (uint8 [N, 28, 28]) and ``labels`` [N].

Source: Xiao et al., Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017 (MIT).
"""

from __future__ import annotations

import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MEAN, STD = 0.2860, 0.3530
BLACK = -MEAN / STD
"""A pixel of the background, prepared."""
PARTS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Images:
    """Prepared images float32 [N, 1, 28, 28] and their classes int64 [N]."""

    pixels: np.ndarray
    labels: np.ndarray


def load(folder: Path, part: str) -> Images:
    """The images of a part, "train" or "test", as the bundled models take them.

    Exits with a message if the folder holds them in neither form.
    """
    archive = folder / f"fashion_mnist_{part}.npz"
    if archive.exists():
        with np.load(archive) as arrays:
            return prepared(arrays["images"], arrays["labels"])
    images = idx_array(folder, f"{PARTS[part]}-images-idx3-ubyte")
    return prepared(images, idx_array(folder, f"{PARTS[part]}-labels-idx1-ubyte"))


def prepared(images: np.ndarray, labels: np.ndarray) -> Images:
    """Images uint8 [N, 28, 28] and their classes, as the bundled models take them."""
    pixels = (images[:, None].astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return Images(pixels, labels.astype(np.int64))


def idx_array(folder: Path, name: str) -> np.ndarray:
    """An array of bytes in the IDX format: two zeros, type 8, rank, big-endian uint32 dims, then the elements."""
    for path, opened in ((folder / name, open), (folder / f"{name}.gz", gzip.open)):
        if path.exists():
            with opened(path, "rb") as file:
                content = file.read()
            dims = np.frombuffer(content, ">u4", content[3], offset=4)
            return np.frombuffer(content, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)
    sys.exit(f"{folder} holds neither {name}[.gz] nor fashion_mnist_*.npz; download Fashion-MNIST and name its folder")
