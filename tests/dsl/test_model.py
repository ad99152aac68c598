"""A small network of most kinds of layers: its graph, names, counts, and results."""

from __future__ import annotations

import numpy as np
import pytest

import cnnc
from cnnc import dsl, interp
from cnnc.ir import verify


class Block(dsl.Module):
    """conv - norm - act with a skip connection."""

    def __init__(self, channels: int) -> None:
        self.conv1 = dsl.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = dsl.BatchNorm(channels)
        self.act = dsl.PReLU(channels)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, C, H, W] -> the same shape."""
        return x + self.act(self.bn1(self.conv1(x)))


class Net(dsl.Module):
    """A stem, two blocks, a shuffle of channels, a classifier."""

    def __init__(self) -> None:
        conv = dsl.Conv2d(3, 16, 3, stride=2, padding=1)
        self.stem = dsl.Sequential(conv, dsl.relu, dsl.MaxPool(3, stride=2, padding=1))
        self.blocks = [Block(16) for _ in range(2)]
        self.fc = dsl.Linear(16, 10)

    def forward(self, x: dsl.Tensor) -> dsl.Tensor:
        """x [N, 3, H, W] -> [N, 10]."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = dsl.channel_shuffle(x, 4)
        x = dsl.concat([x[:, 8:], x[:, :8]])
        return self.fc(dsl.flatten(dsl.global_avg_pool(x)))


@pytest.fixture
def net() -> dsl.Model:
    return dsl.model(Net(), ("N", 3, 32, 32))


def test_names_follow_attributes(net: dsl.Model) -> None:
    assert list(net.parameters)[:3] == ["stem.0.weight", "stem.0.bias", "blocks.0.conv1.weight"]
    graph = net.graph()
    verify(graph)
    assert graph.has_value("blocks.1.conv1")
    producer = graph.value("blocks.1.conv1").producer
    assert producer is not None
    assert producer.loc[0].startswith("blocks.1.conv1 (test_model.py:")


def test_counts(net: dsl.Model) -> None:
    block = 16 * 16 * 9 + 2 * 16 + 16
    assert net.parameter_count == (3 * 16 * 9 + 16) + 2 * block + (16 * 10 + 10)
    macs = 16 * 16 * 27 * 16 + 2 * 8 * 8 * 16 * 16 * 9 + 160
    assert net.macs() == macs
    assert net.macs({"N": 3}) == 3 * macs


def test_compiled_agrees_with_the_interpreter(net: dsl.Model) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    wanted = interp.run(net.graph(), {"x": x})["output"]
    got = cnnc.compile(net).run({"x": x})["output"]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-3 * wanted.std())


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second, other = (dsl.model(Net(), (1, 3, 8, 8), seed=seed).state() for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["fc.weight"], other["fc.weight"])
