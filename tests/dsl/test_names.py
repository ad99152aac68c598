"""Names of parameters, tensors and constants, and the source lines that nodes keep."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np

import cnnc
from cnnc import dsl, interp, models
from cnnc.ir import Graph

SHAPE = ("N", 4, 8, 8)


def conv() -> dsl.Conv2d:
    return dsl.Conv2d(4, 4, 3, padding=1, bias=False)


def parameters(network: dsl.Network) -> list[str]:
    return list(dsl.model(network, SHAPE).parameters)


def names(graph: Graph) -> list[str]:
    return [node.output.name for node in graph.nodes]


class Nested(dsl.Module):
    """Parts in lists, tuples, dicts and modules, two levels deep."""

    def __init__(self) -> None:
        self.first = conv()
        self.list = [conv(), [conv(), conv()]]
        self.dict = {"a": conv(), "b": (conv(),)}
        self.seq = dsl.Sequential(conv(), dsl.relu, dsl.Sequential(inner=conv()))
        self.scale = dsl.Parameter((1,), dsl.ones)
        self.unused = dsl.Linear(2, 2, bias=False)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """Each of them once."""
        one, (two, three) = self.list[0], self.list[1]  # type: ignore[misc]
        for part in (self.first, one, two, three, self.dict["a"], self.dict["b"][0], self.seq):  # type: ignore[index]
            x = part(x)  # type: ignore[operator]
        return x * self.scale


def test_a_parameter_is_called_after_the_path_to_it() -> None:
    assert parameters(Nested()) == [
        "first.weight",
        "list.0.weight",
        "list.1.0.weight",
        "list.1.1.weight",
        "dict.a.weight",
        "dict.b.0.weight",
        "seq.0.weight",
        "seq.2.inner.weight",
        "scale",
        "unused.weight",
    ]


def test_sequential_steps_have_numbers_or_keywords() -> None:
    network = dsl.Sequential(conv(), dsl.relu, last=conv(), act=dsl.LeakyReLU(0.1))
    assert parameters(network) == ["0.weight", "last.weight"]
    # A plain function has no path: its node is called after its op.
    assert names(dsl.model(network, SHAPE).graph()) == ["0", "relu", "last", "act"]
    assert network[0] is network.steps["0"]
    assert len(network) == 4


def test_a_module_called_twice_shares_its_weights() -> None:
    class Twice(dsl.Module):
        def __init__(self) -> None:
            self.conv = conv()
            self.alias = self.conv

        def forward(self, x: dsl.Tensor) -> dsl.Tensor:
            return self.alias(dsl.relu(self.conv(x)))

    model = dsl.model(Twice(), SHAPE)
    assert list(model.parameters) == ["conv.weight"]
    assert model.parameter_count == 4 * 4 * 9
    graph = model.graph()
    assert names(graph) == ["conv", "relu", "conv_1"]
    first, _, second = graph.nodes
    assert first.inputs[1] is second.inputs[1]


def test_modules_made_while_the_network_runs_are_counted_by_kind() -> None:
    def network(x: dsl.Tensor) -> dsl.Tensor:
        x = dsl.Conv2d(4, 4, 3)(x)
        x = dsl.Conv2d(4, 4, 3)(x)
        return dsl.Sequential(dsl.BatchNorm(4), dsl.relu)(x)

    model = dsl.model(network, SHAPE)
    assert list(model.parameters)[:5] == [
        "conv2d.weight",
        "conv2d.bias",
        "conv2d_1.weight",
        "conv2d_1.bias",
        "sequential.0.weight",
    ]
    # They are found again by name when the network runs once more.
    x = {"x": np.ones((1, 4, 8, 8), np.float32)}
    first, again = (interp.run(model.graph(), x)["output"] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_parameters_made_while_a_module_runs_lie_under_its_path() -> None:
    class Scaled(dsl.Module):
        def __init__(self) -> None:
            self.part = dsl.Sequential(dsl.relu)

        def forward(self, x: dsl.Tensor) -> dsl.Tensor:
            return self.part(x) * dsl.Parameter((1,), dsl.ones)

    assert parameters(dsl.Sequential(scaled=Scaled())) == ["scaled.parameter"]


def test_the_last_node_of_a_layer_bears_its_name() -> None:
    network = dsl.Sequential(act=dsl.PReLU(4), pool=dsl.MixedPool(2), fc=dsl.Linear(4, 2))
    graph = dsl.model(network, SHAPE).graph()
    assert [(node.op, node.output.name) for node in graph.nodes] == [
        ("reshape", "act.reshape"),
        ("prelu", "act"),
        ("max_pool", "pool.max_pool"),
        ("average_pool", "pool.average_pool"),
        ("mul", "pool.mul"),
        ("mul", "pool.mul_1"),
        ("add", "pool"),
        ("transpose", "fc.transpose"),
        ("matmul", "fc.matmul"),
        ("add", "fc"),
    ]
    assert all(node.name.startswith(f"{node.output.name} (") for node in graph.nodes)


def test_constants_are_named_after_their_reader() -> None:
    def network(x: dsl.Tensor) -> dsl.Tensor:
        x = dsl.pad(x[:, 1:3], [(1, 1)])
        return dsl.clip(dsl.reshape(x * 2.0, (x.shape[0], -1)), 0, 1)

    graph = dsl.model(network, SHAPE).graph()
    assert {value.name for node in graph.nodes for value in node.inputs if value is not None and value.is_constant} == {
        *(f"slice.{role}" for role in ("starts", "ends", "axes", "steps")),
        "pad.widths",
        "pad.const",
        "mul.const",
        "reshape.shape",
        "clip.const",
        "clip.const_1",
    }


def test_given_names_win_over_automatic_ones() -> None:
    def network(x: dsl.Tensor) -> dsl.Tensor:
        a = dsl.relu(x)
        return dsl.name(dsl.relu(a), "relu") + a

    graph = dsl.model(network, SHAPE).graph()
    assert names(graph) == ["relu_2", "relu", "add"]


def test_a_name_given_inside_a_layer_stays() -> None:
    def step(x: dsl.Tensor) -> dsl.Tensor:
        return dsl.name(dsl.relu(x), "inner") + 1

    assert names(dsl.model(dsl.Sequential(step=dsl.Apply(step)), SHAPE).graph()) == ["inner", "step"]


def test_inputs_and_outputs_keep_the_names_they_were_given() -> None:
    def network(left: dsl.Tensor, right: dsl.Tensor) -> dict[str, dsl.Tensor]:
        return {"sum": left + right, "left_again": left}

    graph = dsl.model(network, {"a": SHAPE, "b": SHAPE}).graph()
    assert [value.name for value in graph.inputs] == ["a", "b"]
    assert list(graph.output_names) == ["sum", "left_again"]
    unnamed = dsl.model(lambda x: (dsl.relu(x), -x), SHAPE).graph()
    assert list(unnamed.output_names) == ["output_0", "output_1"]


def test_a_node_keeps_file_and_line_of_its_call() -> None:
    def network(x: dsl.Tensor) -> dsl.Tensor:
        x = dsl.relu(x)
        return -x

    first = inspect.getsourcelines(network)[1] + 1
    nodes = list(dsl.model(network, SHAPE).graph().nodes)
    here = Path(__file__).name
    assert [node.loc for node in nodes] == [(f"relu ({here}:{first})",), (f"neg ({here}:{first + 1})",)]


def test_lines_of_the_library_are_named_where_it_is_written() -> None:
    graph = models.model("lenet5").graph()
    assert all("(lenet.py:" in node.name for node in graph.nodes)


def test_layers_that_no_network_calls_are_named_where_they_are_written() -> None:
    line = inspect.currentframe().f_lineno + 1  # type: ignore[union-attr]
    network = dsl.Sequential(conv(), dsl.ReLU(), dsl.relu)
    model = dsl.model(network, {"x": SHAPE})
    [written, relu, plain] = cnnc.compile(model).source_graph().nodes
    assert written.loc == (f"0 (test_names.py:{inspect.getsourcelines(conv)[1] + 1})",)
    assert relu.loc == (f"1 (test_names.py:{line})",)
    assert plain.loc == ("relu",)


def test_paths_are_those_of_the_first_attribute() -> None:
    shared = conv()
    network = dsl.Sequential(shared, dsl.relu, shared, dsl.Sequential(shared))
    assert parameters(network) == ["0.weight"]


def test_functions_and_modules_give_one_graph() -> None:
    """The same network as a module and as a function with parameters of its own has the same nodes."""

    def network(x: dsl.Tensor) -> dsl.Tensor:
        return dsl.relu(dsl.conv(x, weight, bias, padding=1))

    weight, bias = dsl.Parameter((4, 4, 3, 3)), dsl.Parameter((4,), dsl.zeros)
    module = dsl.Sequential(dsl.Conv2d(4, 4, 3, padding=1), dsl.relu)
    graphs = [dsl.model(part, SHAPE).graph() for part in (network, module)]
    kinds = [[(node.op, node.attrs, node.output.type) for node in graph.nodes] for graph in graphs]
    assert kinds[0] == kinds[1]
    assert list(dsl.model(network, SHAPE).parameters) == ["parameter", "parameter_1"]
