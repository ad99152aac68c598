"""Quantization: a float model becomes one of 8-bit integers, by ranges that were seen on sample data.

``placement`` says which tensors are stored as integers, ``calibration`` runs the model over samples and ``ranges``
makes a range of what was seen, ``affine`` makes scale and zero point of a range, and ``insertion`` writes
quantize_linear and dequantize_linear into the graph. ``quantizer`` joins them.
"""

from cnnc.quantization.quantizer import Quantized, quantize
from cnnc.quantization.settings import METHODS, Settings

__all__ = ["METHODS", "Quantized", "Settings", "quantize"]
