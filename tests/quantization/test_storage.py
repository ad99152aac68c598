"""Bytes by what they are for."""

from __future__ import annotations

import numpy as np

import cnnc
from cnnc.compiler import read_graph
from cnnc.quantization import storage_of
from tests.cli.command_line import LENET


def test_bytes_of_a_quantized_model() -> None:
    before = storage_of(read_graph(LENET))
    samples = [{"input": np.random.default_rng(0).standard_normal((2, 1, 28, 28), np.float32)}]
    after = storage_of(cnnc.quantize(LENET, samples).graph)
    assert before.integer_weights == before.scales == 0
    assert after.weights == after.integer_weights == before.weights // 4
    assert after.biases == before.biases
    channels = before.biases // 4
    # One scale an output channel for weights and biases, and a few of activations.
    assert 0 < after.scales - 8 * channels < 100
