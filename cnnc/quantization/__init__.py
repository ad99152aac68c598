"""Quantization: a float model becomes one of 8-bit integers, by ranges that were seen on sample data.

``placement`` says which tensors are stored as integers. ``calibration`` runs the model over samples, ``ranges`` makes a
range of what was seen and ``affine`` scale and zero point of a range. ``stored_weights`` makes integers of a layer's
weights by what the layer reads on the samples (``cnnc.observation``), with a file for each step:
``weight_clipping``, ``rounding``, ``batch_norm_reestimation``, ``bias_correction``; ``equalisation`` comes before all
of them. ``insertion`` writes quantize_linear and dequantize_linear into the graph. ``quantizer`` joins them.

``mixed_precision`` leaves layers in float by a score: ``noise`` and ``layer_times`` measure layers,
``neighbours`` says what lies between them, and ``assignment`` finds the best choice. ``report`` and ``storage`` tell
what became of a model.
"""

from cnnc.observation.evaluation import Evaluation
from cnnc.quantization.api import quantize
from cnnc.quantization.mixed_precision import Mixed, quantize_within
from cnnc.quantization.quantizer import Calibrated, Quantized, calibrate
from cnnc.quantization.report import LayerReport, layer_reports
from cnnc.quantization.settings import METHODS, ROUNDINGS, Settings
from cnnc.quantization.storage import Storage, storage_of

__all__ = [
    "METHODS",
    "ROUNDINGS",
    "Calibrated",
    "Evaluation",
    "LayerReport",
    "Mixed",
    "Quantized",
    "Settings",
    "Storage",
    "calibrate",
    "layer_reports",
    "quantize",
    "quantize_within",
    "storage_of",
]
