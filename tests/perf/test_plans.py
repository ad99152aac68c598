"""Plans of networks: instructions, layout conversions, copies and bytes do not grow.

They are planned for AVX-512 with batches of 1, whatever CPU the tests run on. Networks of the model zoo lie in a folder
beside the project (or in ``$CNNC_SHARED``); their tests are skipped where it is absent.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cnnc.compiler import optimise_graph
from cnnc.explanation.open_sizes import open_sizes
from cnnc.explanation.plan_facts import plan_facts
from cnnc.frontends import import_onnx
from cnnc.ir import Graph, Notes
from cnnc.lower import lower
from cnnc.options import Options
from cnnc.runtime.jit.target import x86_target
from tests.perf.ledger import check, grown
from tests.perf.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("CNNC_SHARED", ROOT.parent / "shared"))
EXPECTED = Path(__file__).with_name("plans.json")
ZOO_EXPECTED = Path(__file__).with_name("zoo_plans.json")
BUNDLED = sorted((ROOT / "examples" / "models").glob("*.onnx"))
ZOO = (
    "alexnet deeplabv3_mobilenet_v3_large densenet121 dncnn efficientnet_b0 googlenet inception_v3 lenet5 mnasnet1_0 "
    "mobilenet_v1 mobilenet_v2 mobilenet_v3_large r3d_18 regnet_x_400mf resnet18 resnet50 resnext50_32x4d seresnet50 "
    "shufflenet_v1_g3 shufflenet_v2_x1_0 squeezenet1_1 unet unet3d_small vgg16 xception yolov3_tiny"
).split()
QUICK = ("lenet5", "mobilenet_v2", "shufflenet_v2_x1_0", "squeezenet1_1")


def facts_of(graph: Graph) -> dict[str, int]:
    """What its program costs."""
    target = x86_target("avx512")
    sizes = open_sizes(graph)
    optimise_graph(graph, Options(), Notes(), target=target)
    return dataclasses.asdict(plan_facts(lower(graph, target).program, sizes))


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_model(path: Path, request: pytest.FixtureRequest) -> None:
    check(EXPECTED, path.stem, facts_of(import_onnx(path)), grown, request)


@pytest.mark.parametrize("name", NETWORKS)
def test_block(name: str, request: pytest.FixtureRequest) -> None:
    check(EXPECTED, name, facts_of(NETWORKS[name]()), grown, request)


needs_zoo = pytest.mark.skipif(not (SHARED / "zoo").is_dir(), reason="the model zoo is not here (CNNC_SHARED)")


@needs_zoo
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ZOO])
def test_zoo_model(name: str, request: pytest.FixtureRequest) -> None:
    model = _materializer().materialize(str(SHARED / "zoo" / "light" / f"{name}.onnx"))
    check(ZOO_EXPECTED, name, facts_of(import_onnx(model)), grown, request)


@cache
def _materializer() -> Any:
    spec = importlib.util.spec_from_file_location("materialize", SHARED / "zoo" / "materialize.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
