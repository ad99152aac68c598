"""Extension points: what is found, what is refused, and that nothing is imported before it is asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from cnnc import extending, passes
from cnnc.errors import OptionError, UnsupportedError
from cnnc.extending import (
    register_kernel,
    register_op,
    register_pass,
    register_pipeline,
    register_pipeline_row,
    register_rules,
)
from cnnc.extension_points import SWITCH, ExtensionError
from cnnc.ir import Graph, Notes
from cnnc.lower.rules import LoweringRule
from cnnc.lower.select import GPU_EXTENSIONS, rules_of
from cnnc.ops import OPS
from cnnc.ops.opdef import OpDef, same_type
from cnnc.passes import Pass, PipelineRow, parse_pipeline, pipeline
from cnnc.runtime import cuda, host
from cnnc.runtime.cuda.target import cuda_target
from cnnc.runtime.jit.target import host_target
from cnnc.runtime.kernel_table import has_kernel, kernel_table
from tests.cli.command_line import answer, cnnc
from tests.extension.fake_package import Installed

PASS = """
from dataclasses import dataclass, replace
from typing import ClassVar
from cnnc.passes import Pass, PipelineRow

@dataclass(frozen=True)
class Nothing(Pass):
    name: ClassVar[str] = "do-nothing"
    times: int = 1
    def run(self, graph, notes):
        return False

ROW = PipelineRow(1, "do-nothing{times=2}", before="fold-batch-norm", why="it is a test")
LIST = "do-nothing,fold-constants"
NESTED = "short-list,do-nothing"
LOOP = "other-loop"
"""


def test_packages_add_passes(installed: Installed) -> None:
    points = {"cnnc.passes": {"do-nothing": "Nothing"}, "cnnc.pipeline_rows": {"nothing": "ROW"}}
    installed.add("a-package", PASS, points)
    assert "a_package" not in sys.modules, "an installed package is imported when a name of it is asked for"
    [item] = parse_pipeline("do-nothing{times=3}")
    assert str(item) == "do-nothing{times=3}"
    assert "do-nothing" in passes.ALL_PASSES
    assert len(list(passes.ALL_PASSES)) == len(passes.ALL_PASSES)
    names = [str(item) for item in pipeline(2)]
    assert names[names.index("fold-batch-norm") - 1] == "do-nothing{times=2}"
    assert "do-nothing{times=2}" not in [str(item) for item in pipeline(0)]


def test_pipelines_have_names(installed: Installed) -> None:
    lists = {"short-list": "LIST", "longer-list": "NESTED"}
    installed.add("a-package", PASS, {"cnnc.passes": {"do-nothing": "Nothing"}, "cnnc.pipelines": lists})
    found = [item.name for item in parse_pipeline("eliminate-no-ops,longer-list")]
    assert found == ["eliminate-no-ops", "do-nothing", "fold-constants", "do-nothing"]
    with pytest.raises(OptionError, match="takes no options"):
        parse_pipeline("short-list{max=1}")


def test_a_pipeline_in_itself_is_refused() -> None:
    register_pipeline("one-loop", "other-loop")
    register_pipeline("other-loop", "one-loop")
    try:
        with pytest.raises(OptionError, match="contains itself"):
            parse_pipeline("one-loop")
    finally:
        passes.registry.NAMED_PIPELINES.unregister("one-loop")
        passes.registry.NAMED_PIPELINES.unregister("other-loop")


def test_two_packages_with_one_name_are_refused(installed: Installed) -> None:
    installed.add("a-package", PASS, {"cnnc.passes": {"do-nothing": "Nothing"}})
    installed.add("b-package", PASS, {"cnnc.passes": {"do-nothing": "Nothing"}})
    with pytest.raises(ExtensionError, match="too") as caught:
        parse_pipeline("do-nothing")
    assert "a-package" in str(caught.value) and "b-package" in str(caught.value)


def test_names_of_cnnc_are_taken(installed: Installed) -> None:
    installed.add("a-package", PASS, {"cnnc.passes": {"fold-constants": "Nothing"}})
    with pytest.raises(ExtensionError, match="cnnc has a pass of this name itself"):
        list(passes.ALL_PASSES)
    assert parse_pipeline("fold-constants")[0].name == "fold-constants"


@pytest.mark.parametrize(
    ("group", "name", "attribute", "message"),
    [
        ("cnnc.passes", "do-nothing", "missing", "cannot be loaded: AttributeError"),
        ("cnnc.passes", "do-something", "Nothing", "calls itself 'do-nothing'"),
        ("cnnc.passes", "do-nothing", "LIST", "no subclass of"),
        ("cnnc.pipeline_rows", "row", "LIST", "not a PipelineRow"),
        ("cnnc.ops", "an_op", "LIST", "not an OpDef"),
        ("cnnc.host_functions", "an_op", "LIST", "cannot be called"),
        ("cnnc.kernels", "a.kernel", "LIST", "not a KernelDef"),
        ("cnnc.lowering_rules", "rules", "LIST", "no mapping of ops"),
        ("cnnc.backends", "mine", "LIST", "no subclass of"),
        ("cnnc.onnx_converters", "com.example.Op", "LIST", "cannot be called"),
        ("cnnc.onnx_converters", "Op", "Nothing", "named by domain and operator"),
        ("cnnc.onnx_exporters", "an_op", "LIST", "cannot be called"),
        ("cnnc.pipelines", "a-list", "ROW", "no text of passes"),
    ],
)
def test_what_does_not_fit_is_refused(
    installed: Installed, group: str, name: str, attribute: str, message: str
) -> None:
    installed.add("a-package", PASS, {group: {name: attribute}})
    [point] = [point for point in extending.POINTS if point.group == group]
    with pytest.raises(ExtensionError, match=message) as caught:
        point.find(name)
    assert "a-package" in str(caught.value) and SWITCH in str(caught.value)
    [item] = extending.extensions()
    assert message.partition(":")[0] in item.problem and item.package == "a-package"
    assert cnnc("extensions").exit_code == 1


def test_a_package_that_fails_to_import_is_named(installed: Installed) -> None:
    installed.add("a-package", "raise ValueError('broken on purpose')", {"cnnc.passes": {"do-nothing": "Nothing"}})
    with pytest.raises(ExtensionError, match="ValueError: broken on purpose"):
        parse_pipeline("do-nothing")
    result = cnnc("opt", "models:lenet5", "-p", "do-nothing")
    assert result.exit_code == 2
    assert "uninstall a-package" in result.output


def test_extensions_can_be_switched_off(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    installed.add("a-package", PASS, {"cnnc.passes": {"do-nothing": "Nothing"}})
    assert [item["name"] for item in answer("extensions", "--json")["extensions"]] == ["do-nothing"]
    monkeypatch.setenv(SWITCH, "0")
    assert "do-nothing" not in passes.ALL_PASSES
    assert "switched off" in cnnc("extensions").output
    monkeypatch.setenv(SWITCH, "yes")
    with pytest.raises(OptionError, match="it is 0 or 1"):
        list(passes.ALL_PASSES)


def test_close_names_of_packages_are_suggested(installed: Installed) -> None:
    installed.add("a-package", PASS, {"cnnc.passes": {"do-nothing": "Nothing"}})
    with pytest.raises(OptionError, match="did you mean do-nothing"):
        parse_pipeline("do-nothin")


@dataclass(frozen=True)
class Mine(Pass):
    """A pass of this process."""

    name: ClassVar[str] = "mine"

    def run(self, graph: Graph, notes: Notes) -> bool:
        return False


def test_things_of_this_process() -> None:
    register_pass(Mine)
    try:
        assert register_pass(Mine) is Mine, "again is no harm"
        assert parse_pipeline("mine") == (Mine(),)
        other = type("Other", (Mine,), {})
        with pytest.raises(OptionError, match="already"):
            register_pass(other)
    finally:
        passes.registry.EXTENSIONS.unregister("mine")
    with pytest.raises(OptionError, match="no pass 'mine'"):
        parse_pipeline("mine")


def test_what_is_registered_is_checked() -> None:
    with pytest.raises(OptionError, match="already"):
        register_op(OpDef("conv", same_type), lambda x: x)
    with pytest.raises(OptionError, match="no pass 'never'"):
        register_pipeline_row("row", PipelineRow(1, "mine", before="never", why=""))
    with pytest.raises(OptionError, match="level 7"):
        register_pipeline_row("row", PipelineRow(7, "mine", before="fold-pad", why=""))
    with pytest.raises(UnsupportedError, match="no op 'mine'"):
        OPS["mine"]
    assert not host.has_function("mine")


def test_kernels_and_rules_are_for_one_kind_of_target() -> None:
    cpu, gpu = host_target(), cuda_target("sm_80")
    own = LoweringRule("mine", lambda node, builder: "it is a test", lambda node, builder: None)
    kernel = replace(cuda.kernel_def("copy.fill"), name="mine.fill")
    register_rules("mine", {"conv": (own,)}, gpu=True)
    register_kernel(kernel, gpu=True)
    try:
        assert rules_of(gpu)["conv"][0] is own, "rules of packages are asked first"
        assert own not in rules_of(cpu)["conv"]
        assert kernel_table(gpu)("mine.fill") is kernel
        assert has_kernel("mine.fill", gpu) and not has_kernel("mine.fill", cpu)
    finally:
        GPU_EXTENSIONS.unregister("mine")
        cuda.EXTENSIONS.unregister("mine.fill")
    assert own not in rules_of(gpu)["conv"]
