"""Backends of other packages: what they are handed, what is checked around them, what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import pytest

import cnnc
from cnnc import interp
from cnnc.compiler import read_graph
from cnnc.errors import InputError, OptionError, UnsupportedError
from cnnc.extending import register_backend
from cnnc.extension_points import ExtensionError
from cnnc.ir import Array, Graph, Node
from cnnc.target_backend import BACKENDS, BackendSettings, RunGraph, TargetBackend
from tests.cli.command_line import LENET
from tests.cli.command_line import cnnc as command


class Interpreted(TargetBackend):
    """Runs the optimised graph on the interpreter, and remembers how it was asked."""

    seen: ClassVar[list[BackendSettings]] = []

    def refusal(self, node: Node) -> str | None:
        return None

    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        assert graph.stage == "optimised"
        self.seen.append(settings)
        return lambda feeds: interp.run(graph, dict(feeds))


class Broken(Interpreted):
    """Gives what ``answer`` says instead of a result."""

    answer: ClassVar[Mapping[str, Array]] = {}

    def compile(self, graph: Graph, settings: BackendSettings) -> RunGraph:
        return lambda feeds: self.answer


class Picky(Interpreted):
    """Knows no pools."""

    def refusal(self, node: Node) -> str | None:
        return "there are no pools here" if "pool" in node.op else None


@pytest.fixture(autouse=True)
def backends() -> Iterator[None]:
    for name, backend in {"interpreted": Interpreted, "broken": Broken, "picky": Picky}.items():
        register_backend(name, backend)
    yield
    for name in ("interpreted", "broken", "picky"):
        BACKENDS.unregister(name)


def test_a_backend_runs_the_optimised_graph() -> None:
    model = cnnc.compile(LENET, target="interpreted")
    x = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    [name] = [port.name for port in model.inputs]
    expected = cnnc.compile(LENET, level=0, target="interpreted").run({name: x})
    for key, y in model.run({name: x}).items():
        np.testing.assert_allclose(y, expected[key], rtol=1e-4, atol=1e-5)
    assert "conv" in {node.op for node in model.optimised.nodes}
    session = model.session(threads=2)
    assert Interpreted.seen[-1] == BackendSettings(2, 2)
    assert session.get_providers() == ["interpreted"]
    assert session.get_inputs()[0].type == "tensor(float)"
    [last] = session.get_outputs()
    [only] = session.run([last.name], {name: x})
    np.testing.assert_array_equal(only, model.run({name: x})[last.name])


def test_tensors_can_be_captured() -> None:
    model = cnnc.compile(LENET, target="interpreted")
    [port] = model.inputs
    hidden = next(node for node in read_graph(LENET).nodes if node.op == "conv").output.name
    found = model.run({port.name: np.zeros((1, 1, 28, 28), np.float32)}, capture=[hidden])
    assert hidden in found


def test_symbolic_sizes_are_checked() -> None:
    model = cnnc.compile(LENET, target="interpreted", shapes={"input": ("N", 1, 28, 28)})
    [port] = model.inputs
    with pytest.raises(InputError):
        model.run({port.name: np.zeros((1, 1, 28, 27), np.float32)})
    with pytest.raises(InputError, match="dtype"):
        model.run({port.name: np.zeros((1, 1, 28, 28))})
    with pytest.raises(InputError, match="no input"):
        model.run({"other": np.zeros((1, 1, 28, 28), np.float32)})


def test_nodes_that_a_backend_refuses_are_named() -> None:
    with pytest.raises(UnsupportedError, match=r"does not compute 2 nodes.*there are no pools here"):
        cnnc.compile(LENET, target="picky")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "gives no output"),
        ({"y": np.zeros((1, 3), np.float32)}, r"is float32\[1, 3\], expected f32\[1, 4\]"),
        ({"y": np.zeros((1, 4))}, "is float64"),
    ],
)
def test_wrong_results_are_noticed(answer: Mapping[str, Array], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "answer", answer)
    graph = small()
    with pytest.raises(ExtensionError, match=message):
        cnnc.compile(graph, target="broken").run({"x": np.zeros((1, 4), np.float32)})


def small() -> Graph:
    """y = relu(x), x of shape [1, 4]."""
    from cnnc.ops import OPS
    from cnnc.types import DType, TensorType

    graph = Graph(OPS, "small")
    x = graph.add_input("x", TensorType((1, 4), DType.F32))
    [y] = graph.add_node("relu", [x], names=["y"]).outputs
    graph.set_outputs([y], ["y"])
    return graph


@pytest.mark.parametrize("options", [{"winograd": "off"}, {"precision": "bf16"}, {"level": 3}])
def test_options_for_kernels_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="choose among kernels of cnnc"):
        cnnc.compile(LENET, target="interpreted", **options)


def test_commands_that_need_a_program_say_so() -> None:
    for arguments in (("compile", LENET, "-o", "x.cnnc"), ("explain", LENET), ("bench", LENET)):
        result = command(*arguments, "--target", "interpreted")
        assert result.exit_code == 2, result.output
        assert "runs graphs its own way" in result.output
    assert command("compile", LENET, "--target", "interpreted", "--stop-after", "fold-pad").exit_code == 2
    assert "interpreted" in command("run", LENET, "--target", "nowhere").output


def test_verify_compares_a_backend() -> None:
    result = command("verify", LENET, "--target", "interpreted", "--no-onnxruntime", "--exact")
    assert result.exit_code == 0, result.output
