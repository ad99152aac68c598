"""Pictures of networks: kernels and activations as grids, layer by layer.

from cnnc import view

for picture in view.activations(cnnc.compile("model.onnx"), {"x": x}, ["conv1"]):
    picture.save("conv1.png")  # picture.pixels are the tiles; a notebook shows the picture itself
"""

from __future__ import annotations

from cnnc.view.activations import activations
from cnnc.view.colour_map import colours, paint
from cnnc.view.folder import save_pictures
from cnnc.view.kernels import kernels
from cnnc.view.picture import Picture

__all__ = ["Picture", "activations", "colours", "kernels", "paint", "save_pictures"]
