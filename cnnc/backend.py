"""``onnx.backend.base`` for cnnc: what the ONNX test-suite, and tools written for it, call.

>>> from cnnc.backend import prepare
>>> prepared = prepare(model)          # an onnx.ModelProto
>>> (y,) = prepared.run([x])
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import defs, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

import cnnc
from cnnc import interp
from cnnc.compiler import CompiledModel
from cnnc.errors import InputError, OptionError, UserError
from cnnc.frontends import import_onnx
from cnnc.ir.fact import Array
from cnnc.runtime.cuda.device import Device
from cnnc.runtime.cuda.driver import open_device

Inputs = Sequence[Array] | Mapping[str, Array] | Array
"""One array for each graph input in order, arrays by name, or the only array."""
Run = Callable[[dict[str, Array]], dict[str, Array]]


class PreparedModel(BackendRep):  # type: ignore[misc]
    """A model that is ready to run.

    Where the model cannot be imported because a small integer or boolean *input* decides ranks or branches (the axes of
    a Squeeze, the condition of an If), it is imported anew for each run with those inputs as constants.
    """

    def __init__(
        self, model: onnx.ModelProto, options: Mapping[str, Any], *, compiled: bool, device: Device | None = None
    ) -> None:
        self._model = model
        self._device = device
        self._options = dict(options)
        self._compiled = compiled
        self._shapes = self._options.pop("shapes", None)
        weights = {tensor.name for tensor in model.graph.initializer}
        self._names = tuple(value.name for value in model.graph.input if value.name not in weights)
        self._deciding = tuple(value.name for value in model.graph.input if _can_decide(value, weights))
        self._run: Run | None = None
        try:
            self._run = self._build({})
        except UserError:
            if not self._deciding:
                raise

    def run(self, inputs: Inputs, **kwargs: Any) -> tuple[Array, ...]:
        """Outputs in the model's order, also by name: ``result["y"]``.

        Raises:
            InputError: arrays that do not fit the inputs.
            UnsupportedError: what is wrong with the model even with its deciding inputs known.
        """
        feeds = self._feeds(inputs)
        run = self._run
        if run is None:
            values = {name: feeds.pop(name) for name in self._deciding if name in feeds}
            run = self._build(values)
        results = run(feeds)
        outputs: tuple[Array, ...] = namedtupledict("Outputs", list(results))(*results.values())
        return outputs

    def _build(self, values: Mapping[str, Array]) -> Run:
        graph = import_onnx(self._model, shapes=self._shapes, values=values)
        if not self._compiled:
            return partial(interp.run, graph)
        compiled: CompiledModel = cnnc.compile(graph, **self._options)
        compiled.device = self._device
        return compiled.run

    def _feeds(self, inputs: Inputs) -> dict[str, Array]:
        if isinstance(inputs, Mapping):
            return {name: _as_array(name, array) for name, array in inputs.items()}
        arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        if len(arrays) != len(self._names):
            raise InputError(f"the model has inputs {', '.join(self._names)}, got {len(arrays)} arrays")
        return {name: _as_array(name, array) for name, array in zip(self._names, arrays)}


def _as_array(name: str, array: Any) -> Array:
    try:
        return np.asarray(array)
    except ValueError as error:
        raise InputError(f"input {name!r} is no array: {error}") from error


def _can_decide(value: onnx.ValueInfoProto, weights: set[str]) -> bool:
    """Whether an input is an integer or boolean tensor of rank 0 or 1."""
    tensor = value.type.tensor_type
    kinds = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
    return value.name not in weights and tensor.elem_type in kinds and len(tensor.shape.dim) <= 1


class CnncBackend(Backend):  # type: ignore[misc]
    """Compiles models for the CPU or the GPU. Keyword arguments are those of ``cnnc.compile``."""

    compiled: ClassVar[bool] = True
    gpu: ClassVar[Device | None] = None
    """What runs models of device "CUDA"; this machine's first GPU if None."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        """Import and compile a model.

        Raises:
            OptionError: a device that is not here.
            ModelError, UnsupportedError: what is wrong with the model.
        """
        kind = device.split(":")[0]
        if kind not in ("CPU", "CUDA"):
            raise OptionError(f"device {device!r} is not supported", hint="use 'CPU' or 'CUDA'")
        if kind == "CPU":
            return PreparedModel(model, kwargs, compiled=cls.compiled)
        gpu = cls.gpu or open_device()
        return PreparedModel(model, {**kwargs, "target": f"cuda:{gpu.architecture}"}, compiled=cls.compiled, device=gpu)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Inputs, device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        """Prepare and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Inputs,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Array, ...]:
        """Run one node; ``opset_version`` (default: the newest) says which version of its operator it is."""
        names = [name for name in node.input if name]
        arrays = [inputs] if isinstance(inputs, np.ndarray) else inputs
        feeds = dict(arrays) if isinstance(arrays, Mapping) else dict(zip(names, arrays))
        opset = int(kwargs.pop("opset_version", defs.onnx_opset_version()))
        return cls.run_model(_single_node_model(node, feeds, opset), feeds, device, **kwargs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether ``device`` is the CPU, or "CUDA" where there is a GPU."""
        kind = device.split(":")[0]
        if kind != "CUDA":
            return kind == "CPU"
        try:
            return (cls.gpu or open_device()) is not None
        except OptionError:
            return False


class InterpreterBackend(CnncBackend):
    """Runs models on the reference interpreter: the same frontend, no kernels."""

    compiled = False


def _single_node_model(node: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype), np.shape(array))
        for name, array in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], node.op_type, inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])


prepare = CnncBackend.prepare
run_model = CnncBackend.run_model
run_node = CnncBackend.run_node
supports_device = CnncBackend.supports_device

__all__ = [
    "CnncBackend",
    "InterpreterBackend",
    "PreparedModel",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]
