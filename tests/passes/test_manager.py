"""The pass manager: stages, the truth of reports, result checks, rolling back, limits, and the pipeline's text form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cnnc.dims import symbol
from cnnc.errors import InputError, InternalError, OptionError
from cnnc.ir import Graph, Notes, clone_graph
from cnnc.ir.text import print_graph
from cnnc.ir.text_file import load_graph, save_graph
from cnnc.ops import OPS
from cnnc.passes import ALL_PASSES, PIPELINE, Pass, PassManager, PassReport, make_pass, parse_pipeline, pipeline
from cnnc.types import DType, TensorType


def _graph() -> Graph:
    graph = Graph(OPS, "g")
    x = graph.add_input("x", TensorType((2, 3), DType.F32))
    doubled = graph.add_node("add", [x, x], names=["doubled"], loc=("double",)).output
    dead = graph.add_node("mul", [x, x], names=["dead"], loc=("square",)).output
    graph.add_node("mul", [dead, dead], names=["dead2"], loc=("power",))
    graph.set_outputs([graph.add_node("mul", [doubled, x], names=["y"]).output], ["y"])
    return graph


@dataclass(frozen=True)
class _Edit(Pass):
    """Replaces the operand of ``y`` as asked, and reports what it is told to."""

    name: ClassVar[str] = "edit"
    to: str = "x"
    reports: bool = True

    def run(self, graph: Graph, notes: Notes) -> bool:
        graph.set_input(next(node for node in graph.nodes if node.output.name == "y"), 0, graph.value(self.to))
        notes.fire(self.name, ())
        return self.reports


@dataclass(frozen=True)
class _Raise(Pass):
    name: ClassVar[str] = "fail"

    def run(self, graph: Graph, notes: Notes) -> bool:
        graph.remove_dead([graph.value("dead2").producer])  # type: ignore[list-item]
        raise KeyError("lost")


@dataclass(frozen=True)
class _Optimised(Pass):
    name: ClassVar[str] = "late"
    requires: ClassVar[str] = "optimised"


def test_a_pass_that_hides_a_change_is_named() -> None:
    with pytest.raises(InternalError, match="pass edit is wrong: it changed the graph and reported"):
        PassManager([_Edit(reports=False)], verify_level=2).run(_graph(), Notes())


def test_a_pass_that_changes_results_is_named_and_the_graph_before_it_saved() -> None:
    graph = _graph()
    with pytest.raises(InternalError, match="pass edit is wrong: output 'y': 6 of 6 elements differ") as caught:
        PassManager([_Edit()], check=True).run(graph, Notes())
    saved = Path(str(caught.value).rsplit(" ", 1)[1])
    assert print_graph(load_graph(saved, OPS)) == print_graph(_graph())


def test_skip_restores_the_graph_in_place() -> None:
    graph, notes = _graph(), Notes()
    reports = PassManager([_Edit(), make_pass("eliminate-dead-code")], check=True, on_bad_pass="skip").run(graph, notes)
    assert notes.undone[0][0] == "edit" and "elements differ" in notes.undone[0][1]
    assert [report.changed for report in reports] == [False, True]
    assert [node.output.name for node in graph.nodes] == ["doubled", "y"]
    assert all(node.is_alive for node in graph.nodes)


def test_a_pass_that_raises_is_rolled_back_or_named() -> None:
    graph, notes = _graph(), Notes()
    before = print_graph(graph)
    PassManager([_Raise()], on_bad_pass="skip").run(graph, notes)
    assert print_graph(graph) == before
    with pytest.raises(InternalError, match="pass fail is wrong: KeyError"):
        PassManager([_Raise()]).run(graph, notes)


def test_stages_are_kept() -> None:
    graph = _graph()
    with pytest.raises(OptionError, match="late needs a graph of stage optimised"):
        PassManager([_Optimised()]).run(graph, Notes())
    graph.stage = "normalised"
    PassManager([make_pass("mark-optimised")]).run(graph, Notes())
    assert graph.stage == "optimised"
    graph.stage = "placed"
    with pytest.raises(OptionError, match="without layouts"):
        PassManager([make_pass("eliminate-dead-code")]).run(graph, Notes())


def test_rewrite_limit_and_stop_after() -> None:
    graph = _graph()
    dead_code = make_pass("eliminate-dead-code")
    assert not PassManager([dead_code], rewrite_limit=0).run(graph, Notes())
    assert len(graph) == 4
    notes = Notes()
    PassManager([dead_code], rewrite_limit=1).run(graph, notes)
    assert len(notes.fired) == 1
    ran = PassManager([dead_code, _Edit()], stop_after="eliminate-dead-code").run(graph, Notes())
    assert [report.name for report in ran] == ["eliminate-dead-code"]
    with pytest.raises(OptionError, match="stop after"):
        PassManager([dead_code], stop_after="nosuch").run(graph, Notes())


@pytest.mark.parametrize("stage", ["normalised", "optimised", "placed"])
def test_it_stops_at_a_stage(stage: str) -> None:
    graph = _graph()
    ran = PassManager(pipeline(1), stop_after=stage).run(graph, Notes())
    assert graph.stage == stage
    assert ALL_PASSES[ran[-1].name].ensures == stage
    assert PassManager(pipeline(1), stop_after=stage).run(graph, Notes()) == (), "it is there already"


def test_max_bounds_the_rewrites_of_one_pass() -> None:
    graph, notes = _graph(), Notes()
    passes = parse_pipeline("eliminate-dead-code{max=0},fold-batch-norm")
    assert [str(item) for item in passes] == ["eliminate-dead-code{max=0}", "fold-batch-norm"]
    PassManager(passes).run(graph, notes)
    PassManager(parse_pipeline("eliminate-dead-code{max=7}"), rewrite_limit=0).run(graph, notes)
    assert not notes.fired, "the limit of all passes holds too"
    PassManager(parse_pipeline("eliminate-dead-code{max=1}")).run(graph, notes)
    assert len(notes.fired) == 1


def test_checks_use_the_given_sizes() -> None:
    graph = Graph(OPS)
    x = graph.add_input("x", TensorType((symbol("N"), 3), DType.F32))
    two_rows = graph.add_constant(np.array([2, 3]), "shape")
    # Fits N = 2 only, as models do whose reshapes were exported for one size.
    doubled = graph.add_node("add", [x, x]).output
    graph.add_node("neg", [x])
    graph.set_outputs([graph.add_node("reshape", [doubled, two_rows], OPS["reshape"].attrs()).output], ["y"])
    dead_code = make_pass("eliminate-dead-code")
    with pytest.raises(InputError, match="reshape"):
        PassManager([dead_code], check=True, sizes={"N": 5}).run(clone_graph(graph), Notes())
    (report,) = PassManager([dead_code], check=True, sizes={"N": 2}).run(graph, Notes())
    assert report.changed


def test_the_hook_sees_every_pass() -> None:
    seen: list[PassReport] = []
    PassManager([make_pass("eliminate-dead-code")], after_pass=lambda item, graph, report: seen.append(report)).run(
        _graph(), Notes()
    )
    assert [(report.changed, report.nodes_before, report.nodes_after) for report in seen] == [(True, 4, 2)]


@dataclass(frozen=True)
class _Refuse(Pass):
    """Refuses to rewrite ``y``."""

    name: ClassVar[str] = "refuse"
    reason: str = "it is too dear"

    def run(self, graph: Graph, notes: Notes) -> bool:
        notes.refuse(self.name, next(node for node in graph.nodes if node.output.name == "y"), self.reason)
        return False


def test_reports_tell_what_fired_and_what_was_refused_anew() -> None:
    notes = Notes()
    pipeline = [make_pass("eliminate-dead-code"), _Refuse(), _Refuse(), _Refuse("it is too late")]
    dead, *refusals = PassManager(pipeline).run(_graph(), notes)
    assert dead.fired == tuple(notes.fired) == (("eliminate-dead-code", ("power",)),)
    assert dead.rewrites == 1
    assert [[refusal.reason for refusal in report.refused] for report in refusals] == [
        ["it is too dear"],
        [],
        ["it is too late"],
    ]


def test_what_is_undone_has_not_fired() -> None:
    (report,) = PassManager([_Edit()], check=True, on_bad_pass="skip").run(_graph(), Notes())
    assert report.rolled_back
    assert report.fired == ()


@pytest.mark.parametrize("text", ["3", "", "yes"])
def test_a_wrong_verify_level_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CNNC_VERIFY", text)
    with pytest.raises(OptionError, match="CNNC_VERIFY"):
        PassManager([])


def test_pipelines_parse_from_text() -> None:
    parsed = parse_pipeline(" eliminate-dead-code, fuse-elementwise{max_inputs=8,max_steps=24} ,mark-optimised{}")
    assert [str(item) for item in parsed] == [
        "eliminate-dead-code",
        "fuse-elementwise{max_inputs=8,max_steps=24}",
        "mark-optimised",
    ]
    assert parse_pipeline("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eliminate-dead-cod", "did you mean eliminate-dead-code"),
        ("nosuch", "no pass 'nosuch'"),
        ("fuse-elementwise{max_steps=x}", "max_steps of pass fuse-elementwise is of kind int"),
        ("fuse-elementwise{steps=1}", "options are: max, max_inputs, max_steps"),
        ("assign-layouts{max=1}", "would not reach stage placed"),
        ("fuse-elementwise{max_steps}", "options are: max, max_inputs, max_steps"),
        ("fuse-elementwise{max_steps=1", "cannot read the pipeline"),
        ("a b", "cannot read the pipeline"),
    ],
)
def test_bad_pipelines_are_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_pipeline(text)


def test_every_pass_module_is_registered_and_says_what_it_is() -> None:
    from cnnc.ir import STAGES

    folder = Path(__file__).resolve().parents[2] / "passes"
    with_class = {path.stem.replace("_", "-") for path in folder.glob("*.py") if "(Pass):" in path.read_text()}
    assert with_class == set(ALL_PASSES)
    assert list(ALL_PASSES) == sorted(ALL_PASSES)
    for name in ALL_PASSES:
        item = ALL_PASSES[name]
        assert item.requires in STAGES and item.ensures in ("", *STAGES) and item.numerics in ("exact", "rounding")
        module = __import__(item.__module__, fromlist=["__doc__"])
        assert module.__doc__ is not None and module.__doc__.startswith(f"{name}: ") and "Numerics: " in module.__doc__


def test_levels_only_add_passes() -> None:
    names = [[item.name for item in pipeline(level)] for level in range(4)]
    for lower, higher in itertools.pairwise(names):
        rest = iter(higher)
        assert all(name in rest for name in lower)
    assert all(reason for _, _, reason in PIPELINE)


def test_text_files_keep_large_constants(tmp_path: Path) -> None:
    graph = Graph(OPS)
    values = np.random.default_rng(0).standard_normal(100)
    kept = [graph.add_constant(values.astype(dtype.numpy), dtype.value) for dtype in (DType.F32, DType.BF16)]
    graph.set_outputs(kept, ["a", "b"])
    save_graph(graph, tmp_path / "g.ir")
    back = load_graph(tmp_path / "g.ir", OPS)
    assert print_graph(back) == print_graph(graph)
    for value in kept:
        assert value.array is not None and np.array_equal(back.value(value.name).array, value.array)
