"""Which layers multiply bfloat16 with ``precision="bf16"``, why others do not, and who refuses it."""

from __future__ import annotations

import pytest

from cnnc.compiler import compile_graph
from cnnc.errors import ArtifactError, OptionError
from cnnc.lower.builder import Decision
from cnnc.options import Options, check_precision
from cnnc.runtime.artifact import load_artifact
from cnnc.runtime.jit import target as targets
from cnnc.runtime.jit.target import x86_target
from tests.kernels.bfloat import needs_bfloat_products
from tests.numeric.network import Network

POINTWISE, DIRECT = "conv.bf16.blocked.pointwise", "conv.bf16.blocked.direct"
BF16 = Options(precision="bf16")


def decision(
    options: Options = BF16, channels: int = 256, filters: int = 256, size: int | str = 14, **conv
) -> Decision:
    """How a convolution of a [1, channels, size, size] map is lowered."""
    net = Network()
    x = net.conv(net.blocked(net.input(1, 3, size, size), channels), filters, **{"kernel": (1, 1)} | conv)
    net.returns(x)
    return [item for item in compile_graph(net.graph, options).lowered.decisions if item.op == "conv"][-1]


def reason(found: Decision, name: str) -> str:
    assert found.chosen != name
    [said] = [why for rule, why in found.refused if rule == name]
    return said


@needs_bfloat_products
@pytest.mark.parametrize(
    ("channels", "filters", "size"), [(256, 256, 14), (2048, 512, 7), (96, 24, 56), (256, 256, "H")]
)
def test_pointwise_where_it_pays(channels, filters, size):
    assert decision(BF16, channels, filters, size).chosen == POINTWISE


@needs_bfloat_products
@pytest.mark.parametrize(
    "conv",
    [
        {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
        {"strides": (2, 2)},
        {"kernel": (3, 3), "strides": (2, 2), "group": 2, "channels": 512, "filters": 512},
    ],
    ids=str,
)
def test_direct_where_it_pays(conv):
    assert decision(**conv).chosen == DIRECT


@needs_bfloat_products
def test_winograd_where_it_is_cheaper():
    found = decision(kernel=(3, 3), pads=(1, 1, 1, 1), size=56, channels=64, filters=64)
    assert found.chosen == "conv.f32.blocked.winograd"
    assert "is estimated to take" in reason(found, DIRECT)


@needs_bfloat_products
@pytest.mark.parametrize(
    ("conv", "said"),
    [
        ({"channels": 255}, "do not fill pairs"),
        ({"channels": 258, "group": 2, "filters": 258}, "do not fill pairs"),
        ({"kernel": (3, 3)}, "window"),
        ({"channels": 16, "filters": 16, "size": 3}, "is estimated to take"),
    ],
    ids=str,
)
def test_refused_with_a_reason(conv, said):
    assert said in reason(decision(**conv), POINTWISE)


def test_off_unless_asked_for():
    assert reason(decision(Options()), POINTWISE) == "the precision is f32"
    assert reason(decision(Options()), DIRECT) == "the precision is f32"


def test_options_that_make_no_sense():
    with pytest.raises(OptionError, match="precision='half'"):
        Options(precision="half")
    for level in (0, 1, 3):
        with pytest.raises(OptionError, match=f"level {level} takes no precision=bf16"):
            Options(level=level, precision="bf16")


@pytest.mark.parametrize("target", [x86_target("avx512", frozenset({"avx512_vnni"})), x86_target("avx2")], ids=str)
def test_a_cpu_without_it_refuses(target):
    check_precision("f32", target)
    with pytest.raises(OptionError, match="needs a CPU with AVX512-BF16"):
        check_precision("bf16", target)


@needs_bfloat_products
def test_an_artifact_runs_only_where_the_cpu_multiplies_bfloat16(tmp_path, monkeypatch):
    net = Network()
    net.returns(net.conv(net.blocked(net.input(1, 3, 14, 14), 256), 256))
    compile_graph(net.graph, BF16).save(tmp_path / "model.cnnc")
    assert load_artifact(tmp_path / "model.cnnc").program.steps
    monkeypatch.setattr(targets, "host_target", lambda: x86_target("avx512", frozenset({"avx512_vnni"})))
    with pytest.raises(ArtifactError, match="avx512bf16"):
        load_artifact(tmp_path / "model.cnnc")


def matrix_decision(rows: int, inner: int = 64, columns: int = 100, **attrs) -> Decision:
    net = Network()
    x = net.input(*((inner, rows) if attrs.get("transA") else (rows, inner)))
    net.returns(net.op("gemm", x, net.normal(inner, columns), **attrs))
    [found] = compile_graph(net.graph, BF16).lowered.decisions
    return found


@needs_bfloat_products
@pytest.mark.parametrize("rows", [1, 8])
def test_few_rows_read_weights_of_bfloat16(rows):
    assert matrix_decision(rows).chosen == "gemm.bf16"


@needs_bfloat_products
@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"rows": 9}, "more than 8 rows"),
        ({"rows": 1, "inner": 63}, "inner size is odd"),
        ({"rows": 2, "transA": 1}, "transposed"),
    ],
    ids=str,
)
def test_weights_stay_float32(shape, said):
    assert said in reason(matrix_decision(**shape), "gemm.bf16")
