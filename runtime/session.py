"""``InferenceSession``: run a model, in the shape of onnxruntime's Python API, so that code written for it can switch.

>>> session = InferenceSession("model.cnnc")               # doctest: +SKIP
>>> [y] = session.run(None, {"x": x})                      # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.errors import OptionError
from cnnc.frozen_dataclass import dataclass
from cnnc.runtime.artifact_format import MAGIC
from cnnc.runtime.call import RunSettings, StepTiming
from cnnc.runtime.collection_pause import collection_paused
from cnnc.runtime.cuda.target import is_cuda
from cnnc.runtime.executable import Executable
from cnnc.runtime.executor import Executor
from cnnc.runtime.input_check import bind_shapes, gather_inputs, select_outputs
from cnnc.runtime.program import Port
from cnnc.runtime.repeated_call import RepeatedCalls

if TYPE_CHECKING:
    from cnnc.compiler import CompiledModel
    from cnnc.runtime.cuda.device import Device
    from cnnc.runtime.cuda.device_array import DeviceArray
    from cnnc.runtime.cuda.executor import DeviceExecutor

Array = np.ndarray[Any, Any]
PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

_TYPE_NAMES = {
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float",
    "f64": "double",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "bool": "bool",
}


@dataclass(frozen=True, slots=True)
class NodeArg:
    """An input or output: ``shape`` holds ints, and strings for symbolic sizes; ``type`` is like 'tensor(float)'."""

    name: str
    shape: list[int | str]
    type: str


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What the model says of itself, under onnxruntime's names."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict[str, str]


class SessionOptions:
    """Options by onnxruntime's names, plus cnnc's own; to be passed or set one by one.

    Attributes:
        intra_op_num_threads: most threads of one call; 0 for all that the process may use.
        keep_denormals: compute with denormal numbers instead of flushing them to zero; slow on x86.
        enable_profiling: time every step; ``InferenceSession.last_profile`` holds the times of the newest run.
        optimization_level: 0..3, for models that are compiled here.
    """

    def __init__(
        self,
        intra_op_num_threads: int = 0,
        keep_denormals: bool = False,
        enable_profiling: bool = False,
        optimization_level: int = 2,
    ) -> None:
        self.intra_op_num_threads = intra_op_num_threads
        self.keep_denormals = keep_denormals
        self.enable_profiling = enable_profiling
        self.optimization_level = optimization_level


class InferenceSession:
    """A loaded model. ``run`` may be called from many threads at once.

    Args:
        model: path of a ``.cnnc`` or ``.onnx`` file, the bytes of either, an ``Executable``, or an object with an
            attribute ``executable`` (what ``cnnc.compile`` returns).
        sess_options: of cnnc, or of onnxruntime, whose thread count and profiling switch are taken.
        providers: by onnxruntime's names, most wanted first: "CUDAExecutionProvider" for this machine's GPU,
            "CPUExecutionProvider". The first that this machine has is taken; ``get_providers`` says which. A compiled
            model runs on what it was compiled for.
        threads: most threads of one call; before ``sess_options.intra_op_num_threads``.
        allow_native_code: run the machine code that an ahead-of-time compiled file holds. Only for files you trust.
        profile: time every step of every run.
        device: the GPU to run on, such as an ``EmulatedDevice``; for "CUDAExecutionProvider" and models that are
            compiled for a GPU. This machine's first GPU by default.
        capture: names of intermediate tensors or nodes of the model to return behind its outputs. The model is compiled
            for it: an ONNX model, a compiled one, or a ``.cnnc`` file that holds its graph.

    Raises:
        ArtifactError: the ``.cnnc`` file is damaged, of another version or for another CPU.
        ModelError, UnsupportedError: the ONNX model cannot be compiled.
        OptionError: an option makes no sense.
        InputError: there is nothing of a name in ``capture``.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | Executable | Any,
        sess_options: SessionOptions | Any = None,
        providers: Sequence[Any] | None = None,
        *,
        threads: int | None = None,
        allow_native_code: bool = False,
        profile: bool = False,
        device: Device | None = None,
        capture: Sequence[str] = (),
    ) -> None:
        options = _own_options(sess_options)
        self._settings = RunSettings(_thread_cap(threads, options), options.keep_denormals)
        with collection_paused():
            device = _wanted_device(providers) if device is None else device
            if capture:
                self._executable = _captured(model, options, device, tuple(capture))
            else:
                self._executable = _load(model, options, allow_native_code, device)
            self._executor, self._repeated = self._prepare(device)
        self._is_profiling = profile or options.enable_profiling
        self.last_profile: tuple[StepTiming, ...] = ()

    def run(
        self, output_names: Iterable[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Array]:
        """Compute the outputs.

        Args:
            output_names: outputs to return, in this order; None for all.
            input_feed: an array per input name.
            run_options: accepted for onnxruntime's sake.

        Returns:
            Fresh arrays that the caller owns.

        Raises:
            InputError: a name, dtype, rank or shape does not fit, or there is not enough memory.
        """
        wanted = None if output_names is None else select_outputs(output_names, self._executable.program.outputs)
        outputs = None
        if self._repeated is not None and not self._is_profiling and isinstance(input_feed, dict):
            outputs = self._repeated.run(input_feed)
        if outputs is None:
            outputs = self._run_any(input_feed)
        return outputs if wanted is None else [outputs[index] for index in wanted]

    def run_on_device(self, output_names: Iterable[str] | None, input_feed: Mapping[str, Any]) -> list[DeviceArray]:
        """Compute the outputs of a session on a GPU and leave them there.

        Args:
            output_names, input_feed: as for ``run``. Inputs that lie on the GPU, of any library that offers the CUDA
                Array Interface or DLPack, are read where they are; both methods take them.

        Returns:
            Arrays that offer both, complete when this returns. ``numpy()`` copies one to the host.

        Raises:
            InputError: see ``run``; or an input is on another GPU, not contiguous, or not at a multiple of 16 bytes.
            OptionError: the session runs on the CPU.
        """
        from cnnc.runtime.cuda.executor import DeviceExecutor

        if not isinstance(self._executor, DeviceExecutor):
            raise OptionError("the session runs on the CPU", where="run_on_device", hint=f"ask for {CUDA_PROVIDER}")
        ports, outputs = self._executable.program.inputs, self._executable.program.outputs
        wanted = select_outputs(output_names, outputs)
        arrays = gather_inputs(ports, self._located(input_feed))
        found = self._executor.run_on_device(arrays, bind_shapes(ports, arrays))
        return [found[index] for index in wanted]

    def _located(self, input_feed: Mapping[str, Any]) -> Mapping[str, Any]:
        """The inputs, with those that lie on the session's GPU as ``DeviceArray``."""
        if isinstance(self._executor, Executor):
            return input_feed
        from cnnc.runtime.cuda.foreign_array import device_view

        views = {name: device_view(value, self._executor.device) for name, value in input_feed.items()}
        return {name: value if views[name] is None else views[name] for name, value in input_feed.items()}

    def _prepare(self, device: Device | None) -> tuple[Executor | DeviceExecutor, RepeatedCalls | None]:
        """What runs the program on its target, with all kernels loaded."""
        if not is_cuda(self._executable.target):
            if device is not None:
                raise OptionError("the model is compiled for the CPU", where="providers", hint="compile it for cuda")
            executor = Executor(self._executable)
            executor.load_kernels()
            return executor, RepeatedCalls(executor, self._settings)
        from cnnc.runtime.cuda.executor import DeviceExecutor

        on_device = DeviceExecutor(self._executable, device or _open_device())
        on_device.load_kernels()
        return on_device, None

    def _run_any(self, input_feed: Mapping[str, Any]) -> list[Array]:
        """Run with inputs of whatever shapes, after all checks."""
        ports = self._executable.program.inputs
        arrays = gather_inputs(ports, self._located(input_feed))
        bindings = bind_shapes(ports, arrays)
        if self._is_profiling:
            timings: list[StepTiming] = []
            outputs = self._executor.run(arrays, bindings, self._settings, timings)
            self.last_profile = tuple(timings)
            return outputs
        outputs = self._executor.run(arrays, bindings, self._settings)
        if self._repeated is not None:
            self._repeated.prepare(bindings)
        return outputs

    def get_inputs(self) -> list[NodeArg]:
        """Name, shape and type of each input."""
        return [node_arg(port) for port in self._executable.program.inputs]

    def get_outputs(self) -> list[NodeArg]:
        """Name, shape and type of each output."""
        return [node_arg(port) for port in self._executable.program.outputs]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says of itself."""
        known = dict(self._executable.metadata)
        version = known.pop("version", "0")
        names = ("producer_name", "graph_name", "domain", "description", "graph_description")
        texts = {name: known.pop(name, "") for name in names}
        return ModelMetadata(**texts, version=int(version) if version.isdigit() else 0, custom_metadata_map=known)

    def get_providers(self) -> list[str]:
        """The provider in use."""
        return [CUDA_PROVIDER if is_cuda(self._executable.target) else PROVIDER]

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The inputs as data for them is checked."""
        return self._executable.program.inputs

    @property
    def executable(self) -> Executable:
        """The program and constants that the session runs."""
        return self._executable


def node_arg(port: Port) -> NodeArg:
    """What a session says of an input or output."""
    shape: list[int | str] = [dim if isinstance(dim, int) else str(dim) for dim in port.shape]
    return NodeArg(port.name, shape, f"tensor({_TYPE_NAMES[port.dtype.value]})")


def _own_options(options: SessionOptions | Any) -> SessionOptions:
    if options is None or isinstance(options, SessionOptions):
        return options or SessionOptions()
    threads = getattr(options, "intra_op_num_threads", None)
    if not isinstance(threads, int):
        raise OptionError(
            f"a {type(options).__name__} is no SessionOptions",
            where="sess_options",
            hint="use cnnc.runtime.SessionOptions",
        )
    return SessionOptions(threads, enable_profiling=bool(getattr(options, "enable_profiling", False)))


def _thread_cap(threads: int | None, options: SessionOptions) -> int | None:
    cap = options.intra_op_num_threads if threads is None else threads
    if cap < 0:
        raise OptionError(f"the number of threads is {cap}", where="threads", hint="use 1 or more, or 0 for all")
    return cap or None


def _wanted_device(providers: Sequence[Any] | None) -> Device | None:
    """The GPU, if the providers name it before the CPU and it can be had; None for the CPU."""
    names = [provider[0] if isinstance(provider, tuple) else provider for provider in providers or ()]
    known = [name for name in names if name in (PROVIDER, CUDA_PROVIDER)]
    if names and not known:
        raise OptionError(
            f"none of the providers {', '.join(map(str, names))} exists here",
            where="providers",
            hint=f"use {PROVIDER} or {CUDA_PROVIDER}",
        )
    if not known or known[0] != CUDA_PROVIDER:
        return None
    try:
        return _open_device()
    except OptionError:
        if PROVIDER in known:
            return None
        raise


def _open_device() -> Device:
    from cnnc.runtime.cuda.driver import open_device

    return open_device()


def _load(model: Any, options: SessionOptions, allow_native_code: bool, device: Device | None) -> Executable:
    if isinstance(model, Executable):
        return model
    if isinstance(model, (str, os.PathLike)):
        path = Path(model)
        if not path.is_file():
            raise OptionError(f"{path} is not a file", where="model", hint="check the path")
        if _starts_with_magic(path):
            return _artifact(path, allow_native_code=allow_native_code)
        return _compiled(path, options, device).executable
    if isinstance(model, (bytes, bytearray, memoryview)):
        data = bytes(model)
        if data[: len(MAGIC)] == MAGIC:
            return _artifact(data, allow_native_code=allow_native_code)
        return _compiled(data, options, device).executable
    executable = getattr(model, "executable", None)
    if isinstance(executable, Executable):
        return executable
    raise OptionError(
        f"a {type(model).__name__} is no model", where="model", hint="pass a path, bytes or a compiled model"
    )


def _artifact(source: Path | bytes, allow_native_code: bool) -> Executable:
    from cnnc.runtime.artifact_reader import load_artifact

    return load_artifact(source, allow_native_code=allow_native_code)


def _starts_with_magic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _captured(model: Any, options: SessionOptions, device: Device | None, names: tuple[str, ...]) -> Executable:
    """The model with intermediate tensors as further outputs.

    Raises:
        OptionError: the model is a program, which holds no graph.
    """
    if isinstance(model, Executable):
        raise OptionError("a program holds no graph to take tensors of", where="capture", hint="pass the model")
    compiled = model if hasattr(model, "with_outputs") else _compiled(model, options, device)
    executable: Executable = compiled.with_outputs(names).executable
    return executable


def _compiled(model: Path | bytes, options: SessionOptions, device: Device | None) -> CompiledModel:
    # The one place where the runtime reaches up to the compiler.
    from cnnc.compiler import compile

    target = "cpu" if device is None else f"cuda:{device.architecture}"
    return compile(model, level=options.optimization_level, target=target)
