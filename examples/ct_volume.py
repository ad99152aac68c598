"""A 3-D network that tells two classes of CT volumes apart.

    cnnc compile examples/ct_volume.py:model -o ct.cnnc
    python examples/ct_volume.py

Source of the shape of the network: Zunair et al., Uniformizing Techniques to Process CT Scans with 3D CNNs for
Tuberculosis Prediction, PRIME 2020.
"""

from __future__ import annotations

import numpy as np

import cnnc
from cnnc import dsl


def stage(in_channels: int, out_channels: int) -> dsl.Sequential:
    """3x3x3 convolution, ReLU, half the size along each axis, normalization."""
    return dsl.Sequential(
        dsl.Conv3d(in_channels, out_channels, 3), dsl.relu, dsl.MaxPool(2), dsl.BatchNorm(out_channels)
    )


network = dsl.Sequential(
    stage(1, 16),
    stage(16, 16),
    stage(16, 32),
    dsl.GlobalAvgPool(),
    dsl.Flatten(),
    dsl.Linear(32, 64),
    dsl.relu,
    dsl.Dropout(0.3),
    dsl.Linear(64, 1),
    dsl.sigmoid,
)

model = dsl.model(network, {"volume": ("N", 1, 32, 64, 64)}, name="ct_volume")


def main() -> None:
    """One volume, slice by slice the same as any other input."""
    compiled = cnnc.compile(model)
    volume = np.random.default_rng(0).standard_normal((1, 1, 32, 64, 64), np.float32)
    [[probability]] = compiled.run({"volume": volume})["output"]
    print(f"{model.name}: {model.parameter_count:,} parameters, {model.macs() / 1e6:.0f} million MACs a volume")
    print(f"probability {probability:.3f} (the weights are random)")


if __name__ == "__main__":
    main()
