"""What is asked of exercise 12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from lesson_12_own_backend.c_backend import CBackend
from lesson_12_own_backend.c_code import RULES, CRule

import cnnc
from cnnc import dsl, interp
from cnnc.errors import UnsupportedError
from cnnc.extending import register_backend
from cnnc.target_backend import BACKENDS, TargetBackend

TARGET = "checked"


@contextmanager
def registered(backend: type[TargetBackend]) -> Iterator[None]:
    """The backend under the name TARGET."""
    register_backend(TARGET, backend)
    try:
        yield
    finally:
        BACKENDS.unregister(TARGET)


def with_rule(op: str, emit: Any) -> type[CBackend]:
    """The lesson's backend with one more op."""
    rules: Mapping[str, CRule] = {**RULES, op: CRule(emit)}
    return type("Checked", (CBackend,), {"rules": rules})


def compare(model: dsl.Model, shape: tuple[int, ...], what: str) -> None:
    """Hold the backend TARGET to the reference interpreter, on a batch of 2 and one of 1."""
    compiled = cnnc.compile(model, target=TARGET)
    [name] = [port.name for port in compiled.inputs]
    for batch in (2, 1):
        x = np.random.default_rng(batch).normal(size=(batch, *shape)).astype(np.float32)
        for output, expected in interp.run(model.graph(), {name: x}, float64=True).items():
            got = compiled.run({name: x})[output]
            wrong = ~np.isclose(got, expected, rtol=1e-4, atol=1e-5)
            if wrong.any():
                place = tuple(map(int, np.argwhere(wrong)[0]))
                message = (
                    f"{what}, batch {batch}: {wrong.sum()} of {got.size} elements are wrong, the first is {place}: "
                )
                raise AssertionError(message + f"{got[place]:.5f} instead of {expected[place]:.5f}")


def check_average_pool(student: ModuleType) -> None:
    """Part 1: average pools in C"""
    with registered(with_rule("average_pool", student.average_pool)):
        cases: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
            ((3, 8, 8), {"kernel": 2}),
            ((2, 7, 9), {"kernel": 3, "stride": 2, "padding": 1, "count_padding": False}),
            ((2, 7, 9), {"kernel": 3, "stride": 2, "padding": 1, "count_padding": True}),
            ((1, 5, 11), {"kernel": (1, 4), "stride": (2, 3)}),
        )
        for shape, options in cases:
            model = dsl.model(lambda x, options=options: dsl.avg_pool(x, **options), ("N", *shape))
            compare(model, shape, f"avg_pool({shape}, {options})")


def check_concat(student: ModuleType) -> None:
    """Part 2: concat in C"""

    def three(x: dsl.Tensor) -> dsl.Tensor:
        return dsl.concat([x, dsl.max_pool(x, 3, stride=1, padding=1), dsl.relu(x)], axis=1)

    def rows(x: dsl.Tensor) -> dsl.Tensor:
        return dsl.concat([dsl.flatten(x), dsl.flatten(dsl.max_pool(x, 2))], axis=1)

    with registered(with_rule("concat", student.concat)):
        for network in (three, rows):
            compare(dsl.model(network, ("N", 3, 5, 4)), (3, 5, 4), f"the concat of {network.__name__!r}")


class Activated(dsl.Module):
    """Convolutions with activations behind them."""

    def __init__(self, last: Any) -> None:
        self.a, self.b, self.c = dsl.Conv2d(2, 4, 3, padding=1), dsl.Conv2d(4, 4, 3, groups=2), dsl.Conv2d(4, 3, 1)
        self.last = last

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        x = dsl.leaky_relu(self.a(x), 0.1)
        x = dsl.relu(self.b(x))
        return self.last(self.c(x))


def check_fusion(student: ModuleType) -> None:
    """Part 3: convolutions that end in an activation"""
    with registered(student.FusingBackend):
        for last, name in ((dsl.relu6, "relu6"), (lambda x: x, "nothing")):
            model = dsl.model(Activated(last), ("N", 2, 6, 7))
            try:
                graph = cnnc.compile(model, target=TARGET).graph
            except UnsupportedError as error:
                raise AssertionError(f"{name} last: {error.what}") from error
            ops = [node.op for node in graph.nodes]
            assert ops == ["conv"] * 3, f"{name} last: the graph should be three convolutions, it is {', '.join(ops)}"
            compare(model, (2, 6, 7), f"leaky ReLU, ReLU and {name}")
        try:
            cnnc.compile(dsl.model(Activated(dsl.sigmoid), ("N", 2, 6, 7)), target=TARGET)
        except UnsupportedError as error:
            assert "sigmoid" in error.what, f"the refusal of a sigmoid should name it; it says: {error.what}"
        else:
            raise AssertionError("a convolution with a sigmoid is taken, though there is no C for one")


PARTS = (check_average_pool, check_concat, check_fusion)
