"""``model``: a network, the shapes of its inputs and the numbers of its parameters. What is compiled and exported."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnc.dims import Dim, evaluate, symbols
from cnnc.errors import OptionError
from cnnc.fact_table import FactTable, Tabled
from cnnc.frontends.dsl.call_site import call_site, refusal
from cnnc.frontends.dsl.initialisers import Initialiser, kaiming_normal
from cnnc.frontends.dsl.inputs import Input, Inputs, inputs_by_name
from cnnc.frontends.dsl.module import Module, Network, paths_of
from cnnc.frontends.dsl.parameter import Parameter
from cnnc.frontends.dsl.tensor import Tensor
from cnnc.frontends.dsl.trace import Trace, Values
from cnnc.ir import Array, Graph
from cnnc.ops import OPS

if TYPE_CHECKING:
    import onnx

    from cnnc.frontends.weights import WeightMatch


@dataclass(repr=False)
class Model(Tabled):
    """A network that is ready to compile, made by ``model``.

    Attributes:
        name: the graph's name.
        network: module or function.
        inputs: by name, in the order of the network's arguments.
        parameters: by name (``layer1.0.conv1.weight``), in the order of first use.
        seed: what random initial values are made from, with each parameter's name.
        init: initialiser of weights that have none of their own; None if they must be given.
    """

    name: str
    network: Network
    inputs: dict[str, Input]
    parameters: dict[str, Parameter]
    seed: int = 0
    init: Initialiser | None = kaiming_normal
    _arrays: dict[str, Array] = field(default_factory=dict)

    def fact_table(self) -> FactTable:
        """A row for each parameter."""
        rows = tuple(
            (name, f"{parameter.dtype.value}{list(parameter.shape)}", "" if parameter.trainable else "statistics")
            for name, parameter in self.parameters.items()
        )
        return FactTable(repr(self), ("parameter", "type", ""), rows)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name} {given.type(name)}" for name, given in self.inputs.items())
        return f"Model({self.name!r}, {inputs}: {self.parameter_count:,} parameters)"

    def graph(self, shapes: Mapping[str, Sequence[int | str]] | None = None) -> Graph:
        """A new graph of the network with its numbers: stage ``imported``, as from a file.

        Args:
            shapes: shapes of some inputs, instead of the model's own.

        Raises:
            ModelError: the network contradicts itself for these shapes, or a parameter has no numbers.
            OptionError: a shape of an input that does not exist, or of another rank.
        """
        return _trace(self.name, self.network, self._reshaped(shapes), self._array).graph

    def to_onnx(
        self,
        path: str | PathLike[str] | None = None,
        *,
        shapes: Mapping[str, Sequence[int | str]] | None = None,
        opset: int | None = None,
        external_data: bool = False,
    ) -> onnx.ModelProto:
        """The network as an ONNX model.

        Args:
            path: where to write it; None to return it only.
            shapes: see ``graph``.
            opset: the opset to write; None for the oldest, from 18 on, that has all the operators.
            external_data: put large tensors into ``<path>.data``, as is done anyway for more than 2 GB.

        Raises:
            ModelError, OptionError: see ``graph``; external data needs a path.
            UnsupportedError: the opset lacks an operator.
            OSError: the file cannot be written.
        """
        from cnnc.export import export_model

        return export_model(self.graph(shapes), path, opset=opset, external_data=external_data)

    def macs(self, sizes: Mapping[str, int] | None = None) -> int:
        """Multiply-accumulates of convolutions and matrix products for inputs of these sizes; open sizes count 1."""
        graph = _trace(self.name, self.network, self.inputs, _no_numbers).graph
        total: Dim = 0
        for node in graph.nodes:
            count = OPS[node.op].macs
            if count is not None:
                types = [None if value is None else value.type for value in node.inputs]
                total = total + count(node.attrs, types, [value.type for value in node.outputs])
        known = dict.fromkeys(symbols(total), 1) | dict(sizes or {})
        return evaluate(total, known)

    @property
    def parameter_count(self) -> int:
        """Trainable numbers: running statistics are not counted."""
        return sum(parameter.size for parameter in self.parameters.values() if parameter.trainable)

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Array]:
        """The numbers of all parameters by name. The arrays must not be changed.

        Raises:
            ModelError: a parameter has none.
        """
        return {name: self._array(name, parameter) for name, parameter in self.parameters.items()}

    def set(self, name: str, array: Array) -> None:
        """Give a parameter its numbers; they are cast to its element type.

        Raises:
            ModelError: there is no such parameter, or its shape is another.
        """
        parameter = self.parameters.get(name)
        if parameter is None:
            raise refusal(f"there is no parameter {name!r}", hint="model.parameters lists them")
        array = np.asarray(array)
        if array.shape != parameter.shape:
            raise refusal(f"parameter {name!r} is {list(parameter.shape)}, got {list(array.shape)}")
        own = np.array(array, parameter.dtype.numpy)
        own.flags.writeable = False
        self._arrays[name] = own

    def load(
        self,
        source: str | PathLike[str] | Mapping[str, Array],
        *,
        strict: bool = True,
        rename: Mapping[str, str] | None = None,
    ) -> WeightMatch:
        """Take the numbers of the parameters from a file, or from arrays by name.

            model.load("resnet18.pth")
            model.load("pretrained.safetensors", rename={"backbone.": "features."}, strict=False)

        Args:
            source: path of a .npz, safetensors or PyTorch state_dict file (none of which is executed), or arrays.
            strict: refuse what has not exactly the model's parameters. Else those that fit are taken, and the others
                keep the numbers they had.
            rename: see ``cnnc.frontends.weights.match_weights``.

        Returns:
            What fitted, and what was missing, unexpected or of another shape; ``report()`` tells it.

        Raises:
            ModelError: the file is malformed; or, if strict, it does not fit: the error lists all differences. No
                parameter has changed then.
            OptionError: ``rename`` does not fit the source.
        """
        from cnnc.frontends.weights import Weights, match_weights, read_weights

        if isinstance(source, (str, PathLike)):
            source = read_weights(source)
        origin = source.origin if isinstance(source, Weights) else "the arrays given"
        shapes = {name: parameter.shape for name, parameter in self.parameters.items()}
        match = match_weights(shapes, source, rename=rename)
        if strict:
            match.check_complete(f"{call_site()}: {origin}")
        for name, array in match.matched.items():
            self.set(name, array)
        return match

    def save(self, path: str | PathLike[str]) -> None:
        """Write the numbers of all parameters to a .npz or .safetensors file, by name.

        Raises:
            ModelError: a parameter has none, or the file cannot be written.
            OptionError: another suffix.
        """
        from cnnc.frontends.weights import write_weights

        write_weights(path, self.state())

    def _array(self, name: str, parameter: Parameter) -> Array:
        array = self._arrays.get(name)
        if array is None:
            init = parameter.init or self.init
            if init is None:
                raise refusal(
                    f"parameter {name!r} {list(parameter.shape)} has no numbers",
                    hint="load them with model.load(file), or choose an initialiser: dsl.model(..., init=...)",
                )
            # Each name has a stream of its own, so a change elsewhere in the network leaves its numbers as they were.
            generator = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
            array = np.ascontiguousarray(init(generator, parameter.shape), parameter.dtype.numpy)
            if array.shape != parameter.shape:
                raise refusal(f"the initialiser of {name!r} gave {list(array.shape)} for {list(parameter.shape)}")
            array.flags.writeable = False
            self._arrays[name] = array
        return array

    def _reshaped(self, shapes: Mapping[str, Sequence[int | str]] | None) -> dict[str, Input]:
        inputs = dict(self.inputs)
        for name, shape in (shapes or {}).items():
            own = inputs.get(name)
            if own is None:
                raise OptionError(
                    f"{self.name} has no input {name!r}", where="shapes", hint=f"inputs: {', '.join(inputs)}"
                )
            if len(shape) != len(own.shape):
                raise OptionError(f"input {name!r} has {len(own.shape)} axes, got {list(shape)}", where="shapes")
            inputs[name] = Input(*shape, dtype=own.dtype)
        return inputs


def model(
    network: Network,
    inputs: Inputs,
    *,
    name: str = "",
    seed: int = 0,
    init: Initialiser | None = kaiming_normal,
) -> Model:
    """A model of a network; the network runs once on tensors without numbers, so every mistake in it shows here.

        model(LeNet5(), ("N", 1, 28, 28))
        model(fuse, {"image": ("N", 3, 224, 224), "depth": Input("N", 1, 224, 224, dtype="uint8")})

    Args:
        network: a module, or a function of tensors. It returns a tensor, several, or a dict of them by output name.
        inputs: shapes by input name, in the order of the network's arguments; a single shape is the input ``x``.
        name: of the graph; the network's own without.
        seed: for random initial values.
        init: for weights that have no initialiser of their own; None if they will be loaded.

    Raises:
        ModelError: the network contradicts itself; the error names the line.
    """
    given = inputs_by_name(inputs)
    label = name or getattr(network, "__name__", type(network).__name__)
    trace = _trace(label, network, given, _no_numbers)
    parameters = dict(paths_of_parameters(network)) | trace.parameters
    return Model(label, network, given, parameters, seed, init)


def paths_of_parameters(network: Network) -> list[tuple[str, Parameter]]:
    """Name and parameter of each that the network's attributes hold, in the order in which they were made."""
    if not isinstance(network, Module):
        return []
    return [(path, part) for part, path in paths_of(network).items() if isinstance(part, Parameter)]


def _no_numbers(name: str, parameter: Parameter) -> Array:
    """Zeros that take no memory: for runs that only look at shapes."""
    return np.broadcast_to(np.zeros((), parameter.dtype.numpy), parameter.shape)


def _trace(name: str, network: Network, inputs: Mapping[str, Input], values: Values) -> Trace:
    """Run the network; the trace holds its graph."""
    _check_arguments(name, network, inputs)
    paths: dict[Any, str] = {}
    if isinstance(network, Module):
        paths.update(paths_of(network))
        paths[network] = ""
    trace = Trace(name, paths, values)
    tensors = [trace.input(label, given.type(label)) for label, given in inputs.items()]
    trace.graph.set_outputs(*_outputs(network(*tensors)))
    return trace


def _check_arguments(name: str, network: Network, inputs: Mapping[str, Input]) -> None:
    function = getattr(network, "forward", network) if isinstance(network, Module) else network
    try:
        inspect.signature(function).bind(*inputs)
    except TypeError as error:
        raise refusal(f"{name} does not take the {len(inputs)} inputs {', '.join(inputs)}: {error}") from None


def _outputs(results: Any) -> tuple[list[Any], list[str]]:
    """Values and names of what a network returned."""
    if isinstance(results, Tensor):
        results = {"output": results}
    elif isinstance(results, (list, tuple)):
        results = {f"output_{index}": result for index, result in enumerate(results)}
    if not isinstance(results, dict) or not results:
        found = "nothing" if results in (None, {}) else f"a value of type {type(results).__name__}"
        raise refusal(
            f"the network returned {found}",
            hint="return a tensor, a list of tensors, or a dict of tensors by output name",
        )
    for label, result in results.items():
        if not isinstance(result, Tensor) or not isinstance(label, str):
            raise refusal(f"output {label!r} is {type(result).__name__}, not a tensor")
    return [result.value for result in results.values()], list(results)
