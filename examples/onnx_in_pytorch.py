"""A trained ONNX model in PyTorch, and back: PyTorch runs its nodes, and its initializers are what PyTorch trains.

There is no second description of the network to keep in step: weights have in PyTorch the names that they have in the
file, and writing the model replaces initializers. Its nodes stay as they are, batch normalizations among them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor
from torch.nn import functional

MOMENTUM = 0.1
"""Weight of a batch in the statistics of a batch normalization."""
SPARSE_FROM = 2 / 3
"""Share of zeros from which a tensor is smaller as a sparse one, of 12 bytes for each element that is not 0."""

LINEAR = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
"""The attributes of a Gemm that is a linear layer of PyTorch."""


class Network:
    """An ONNX model whose weights can be trained.

    Attributes:
        weights: by name, what is trained and the statistics of batch normalizations.
        trained: the names of what is trained.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        nodes, initializers = model.graph.node, model.graph.initializer
        arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in initializers}
        arrays |= {tensor.values.name: dense(tensor) for tensor in model.graph.sparse_initializer}
        self.weights = {name: torch.tensor(array) for name, array in arrays.items()}
        statistics = {name for node in nodes if node.op_type == "BatchNormalization" for name in node.input[3:]}
        self.trained = [name for name in self.weights if name not in statistics]
        for name in self.trained:
            self.weights[name].requires_grad_()

    def __call__(self, images: Tensor, training: bool = False) -> Tensor:
        """Scores [N, classes] of images [N, C, H, W]."""
        graph = self.model.graph
        values = {graph.input[0].name: images, **self.weights}
        for node in graph.node:
            attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            values[node.output[0]] = run(node.op_type, [values[name] for name in node.input], attributes, training)
        return values[graph.output[0].name]

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by name; they share memory with PyTorch."""
        return {name: tensor.detach().numpy() for name, tensor in self.weights.items()}

    def exported(self, store_sparse: bool = False) -> onnx.ModelProto:
        """The model with its weights as they are now; if asked for, sparse tensors where these are smaller."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.initializer[:]
        for name, array in self.arrays().items():
            if store_sparse and np.mean(array == 0) > SPARSE_FROM:
                model.graph.sparse_initializer.append(sparse(name, array))
            else:
                model.graph.initializer.append(numpy_helper.from_array(array, name))
        onnx.checker.check_model(model)
        return model


def sparse(name: str, array: np.ndarray) -> onnx.SparseTensorProto:
    """The elements that are not 0, and where they are in the flattened array."""
    places = np.flatnonzero(array)
    values = numpy_helper.from_array(array.reshape(-1)[places], name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places), array.shape)


def dense(tensor: onnx.SparseTensorProto) -> np.ndarray:
    """The array that ``sparse`` made a tensor of."""
    array = np.zeros(tensor.dims, np.float32)
    array.reshape(-1)[numpy_helper.to_array(tensor.indices)] = numpy_helper.to_array(tensor.values)
    return array


def run(op: str, inputs: list[Tensor], attributes: dict[str, Any], training: bool) -> Tensor:
    """The result of a node; exits where PyTorch is not taught the operator, or a form of it."""
    match op, inputs:
        case "Conv", [x, weight, *bias]:
            strides, dilations = attributes.get("strides", 1), attributes.get("dilations", 1)
            steps = strides, padding(attributes), dilations, attributes.get("group", 1)
            return functional.conv2d(x, weight, *(bias or [None]), *steps)
        case "BatchNormalization", [x, scale, shift, mean, variance]:
            epsilon = attributes.get("epsilon", 1e-5)
            return functional.batch_norm(x, mean, variance, scale, shift, training, MOMENTUM, epsilon)
        case "MaxPool", [x] if not attributes.get("ceil_mode"):
            strides, dilations = attributes.get("strides", 1), attributes.get("dilations", 1)
            return functional.max_pool2d(x, attributes["kernel_shape"], strides, padding(attributes), dilations)
        case "Gemm", [x, weight, bias] if {**LINEAR, **attributes} == LINEAR:
            return functional.linear(x, weight, bias)
        case "Relu", [x]:
            return functional.relu(x)
        case "Clip", [x, low, high]:
            return torch.clamp(x, low, high)
        case "Add", [a, b]:
            return a + b
        case "GlobalAveragePool", [x]:
            return x.mean((2, 3), keepdim=True)
        case "Flatten", [x]:
            return x.flatten(attributes.get("axis", 1))
        case "Identity", [x]:
            return x
        case "Constant", []:
            return torch.tensor(numpy_helper.to_array(attributes["value"]))
    sys.exit(f"{op} with {len(inputs)} inputs and {attributes} has no row in {__file__}: add one")


def padding(attributes: dict[str, Any]) -> list[int]:
    """Rows and columns that are added at both ends; exits where the ends differ."""
    pads = attributes.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:] or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        sys.exit(f"pads in {attributes} are not the same at both ends of an axis, which is not taught here")
    return pads[:2]
