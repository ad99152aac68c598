"""The page in a browser: it shows what the data says, fetches nothing, and works with mouse and keyboard.

No kernel is compiled: where a test needs times, it makes them up.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import cnnc
from cnnc import models
from cnnc.report import Report, Settings, collect
from cnnc.report.facts import IntegerFact, NumericError, SparsityFact
from cnnc.report.page import render_page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
Page = playwright.Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HOSTILE = '</script><img src=x onerror="document.title=\'owned\'"> & "quoted" <b>'

Show = Callable[[Report | str], "Page"]


@pytest.fixture(scope="module")
def lenet() -> Report:
    """LeNet-5 with times and errors that were made up."""
    report = collect(cnnc.compile(models.model("lenet5")), Settings(measure=False))
    layers = tuple(
        replace(
            layer,
            seconds=1e-6 * (1 + 7 * layer.step % 5),
            numeric=NumericError(layer.name, 1e-6 * (layer.step + 1), 1e-7, 1e-5, ""),
        )
        for layer in report.layers
    )
    total = sum(layer.seconds or 0 for layer in layers)
    return replace(report, layers=layers, summary=replace(report.summary, seconds=total, run_seconds=total))


@pytest.fixture(scope="module")
def resnet50() -> Report:
    return collect(cnnc.compile(models.model("resnet50")), Settings(measure=False))


@pytest.fixture(scope="module")
def resnet152() -> Report:
    return collect(cnnc.compile(models.model("resnet152")), Settings(measure=False))


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def show(browser: object, tmp_path: Path) -> Iterator[Show]:
    """Opens a report. In the end, no page may have logged anything, or asked for anything but its file."""
    noise: list[str] = []
    pages = []

    def open_page(report: Report | str) -> Page:
        file = tmp_path / "report.html"
        file.write_text(render_page(report if isinstance(report, str) else report.to_json(), "report"))
        page = browser.new_page(viewport={"width": 1400, "height": 900})  # type: ignore[attr-defined]
        page.set_default_timeout(10_000)
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(f"{error}\n{error.stack}"))
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.on("request", lambda request: request.url == file.as_uri() or noise.append(f"asked for {request.url}"))
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert noise == []


def tab(page: Page, name: str) -> None:
    page.click(f"#tab-{name}")


def texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_text_contents()]


def keys(page: Page, selector: str) -> set[str]:
    """Keys of the nodes that are drawn and match."""
    found: list[str] = page.locator(selector).evaluate_all("nodes => nodes.map(node => node.dataset.key)")
    return set(found)


def changing_stages(report: Report) -> list[int]:
    stages = enumerate(report.stages)
    return [index for index, stage in stages if index and (stage.added or stage.removed or stage.changed)]


@pytest.mark.parametrize("model", ["lenet", "resnet50", "resnet152"])
def test_every_part_opens(model: str, show: Show, request: pytest.FixtureRequest) -> None:
    page = show(request.getfixturevalue(model))
    names = page.locator("[role=tab]").evaluate_all("tabs => tabs.map(tab => tab.id)")
    assert names == ["tab-overview", "tab-graph", "tab-layers", "tab-roofline", "tab-memory", "tab-refused"]
    for name in names:
        page.click(f"#{name}")
        part = page.locator(f"#part-{name.removeprefix('tab-')}")
        assert part.is_visible()
        assert part.inner_text().strip()


@pytest.mark.parametrize("model", ["lenet", "resnet50"])
def test_the_slider_highlights_what_each_pass_changed(model: str, show: Show, request: pytest.FixtureRequest) -> None:
    report: Report = request.getfixturevalue(model)
    page = show(report)
    tab(page, "graph")
    page.get_by_role("button", name="Open all groups").click()
    slider = page.locator("#pass-slider")
    slider.press("Home")
    assert page.locator(".pass-name").inner_text() == "imported"
    for index in changing_stages(report):
        slider.press("ArrowRight")
        stage = report.stages[index]
        assert page.locator(".pass-name").inner_text() == stage.name
        assert stage.why in page.locator(".pass-text").inner_text()
        assert keys(page, "[data-pane=before] .is-removed") == {report.nodes[each].key for each in stage.removed}
        assert keys(page, "[data-pane=after] .is-added") == {report.nodes[each].key for each in stage.added}
        changed = {report.nodes[before].key for before, _ in stage.changed}
        assert keys(page, "[data-pane=before] .leaf.is-changed") == changed
        assert keys(page, "[data-pane=after] .leaf.is-changed") == changed
        if stage.rewrites:
            done = sum(len(each.origins) for each in stage.rewrites)
            assert f"{done} rewrite" in page.locator(".pass-text").inner_text()
    slider.press("ArrowRight")
    assert page.locator(".pass-name").inner_text() == "all passes"


def test_the_slider_also_stops_at_passes_that_changed_nothing(lenet: Report, show: Show) -> None:
    page = show(lenet)
    tab(page, "graph")
    assert page.locator("#pass-slider").get_attribute("max") == str(len(changing_stages(lenet)) + 1)
    page.uncheck("#only-changing")
    assert page.locator("#pass-slider").get_attribute("max") == str(len(lenet.stages))
    page.locator("#pass-slider").press("Home")
    page.get_by_role("button", name="next pass").click()
    assert page.locator(".pass-name").inner_text() == lenet.stages[1].name
    assert "changed nothing" in page.locator(".pass-title").inner_text()


def test_a_large_network_starts_closed_and_counts_changes_in_groups(resnet152: Report, show: Show) -> None:
    page = show(resnet152)
    tab(page, "graph")
    assert texts(page, "[data-pane=before] .group-leaf .leaf-title") == ["layer1", "layer2", "layer3", "layer4"]
    assert page.locator("[data-pane=before] .leaf").count() < 20
    page.locator("#pass-slider").press("Home")
    for index in changing_stages(resnet152):
        page.locator("#pass-slider").press("ArrowRight")
        stage = resnet152.stages[index]
        for mark, number in (("added", stage.added), ("removed", stage.removed), ("changed", stage.changed)):
            chips = page.locator(f".pass-title .chip[data-mark={mark}]")
            shown = chips.get_attribute("data-count") if number else "0"
            assert shown == str(len(number))
            assert chips.count() == bool(number)
        in_groups = sum(bool(resnet152.nodes[each].group) for each in stage.removed)
        badges = texts(page, "[data-pane=before] .count-badge.is-removed")
        assert sum(int(text.removeprefix("−")) for text in badges) == in_groups


def test_groups_open_and_close(resnet50: Report, show: Show) -> None:
    page = show(resnet50)
    tab(page, "graph")
    graph = resnet50.graphs[resnet50.stages[-1].graph]
    block = {resnet50.nodes[each].key for each in graph.nodes if resnet50.nodes[each].group == "layer2/1"}
    assert block
    assert not keys(page, "[data-pane=after] .leaf[data-key]") & block
    page.locator("[data-pane=after] .group-leaf[data-group='layer2'] .group-toggle").click()
    inner = page.locator("[data-pane=after] .group-leaf[data-group='layer2/1']")
    inner.focus()
    page.keyboard.press("Space")
    assert keys(page, "[data-pane=after] .leaf[data-key]") >= block
    assert page.locator("[data-pane=before] .group-box").count() == 2
    page.locator("[data-pane=after] .group-box[data-group='layer2'] .group-toggle").click()
    assert not keys(page, "[data-pane=after] .leaf[data-key]") & block
    page.get_by_role("button", name="Open all groups").click()
    assert page.locator("[data-pane=after] .leaf[data-key]").count() == len(graph.nodes)
    page.get_by_role("button", name="Close all groups").click()
    assert page.locator(".group-box").count() == 0


def test_search_finds_nodes_in_closed_groups(resnet50: Report, show: Show) -> None:
    page = show(resnet50)
    tab(page, "graph")
    page.locator("#content").press("/")
    page.keyboard.type("layer3.4 conv2")
    first, last = (resnet50.graphs[resnet50.stages[each].graph].nodes for each in (0, -1))
    found = {
        node.key
        for node in (resnet50.nodes[each] for each in (*first, *last))
        if all(word in " ".join((node.op, node.name, node.key, *node.origins)) for word in ("layer3.4", "conv2"))
    }
    listed = keys(page, "#graph-search-results [data-key]")
    assert listed == found
    page.keyboard.press("Enter")
    assert keys(page, "[data-pane=after] .leaf.is-selected") <= found
    assert "layer3.4.conv2" in page.locator("#details").inner_text()
    page.fill("#graph-search", "no such node")
    assert "no node" in page.locator("#graph-search-results").inner_text()


def test_details_tell_of_kernel_rivals_and_history(resnet50: Report, show: Show) -> None:
    page = show(resnet50)
    tab(page, "layers")
    layer = next(layer for layer in resnet50.layers if len(layer.rivals) > 1 and len(layer.origins) > 2)
    page.locator(f"#layer-table tr[data-step='{layer.step}']").click()
    details = page.locator("#details")
    shown = details.inner_text()
    assert f"Step {layer.step}" in shown
    assert layer.kernel in shown.replace("\u200b", "")
    assert details.locator(".small-table tbody tr").count() == len(layer.rivals)
    assert f"{len(layer.refused)} kernels not taken" in shown
    assert all(origin in shown for origin in layer.origins)
    assert "fold-batch-norm" in shown
    details.get_by_role("button", name="fold-batch-norm").click()
    assert page.locator(".pass-name").inner_text() == "fold-batch-norm"
    assert page.locator("[data-pane=after] .leaf.is-selected").count() == 1
    details.get_by_role("button", name="Close details").click()
    assert not details.is_visible()


def test_the_table_sorts_and_filters(lenet: Report, show: Show) -> None:
    page = show(lenet)
    tab(page, "layers")

    def steps() -> list[int]:
        rows = page.locator("#layer-table tbody tr")
        return [int(step) for step in rows.evaluate_all("rows => rows.map(row => row.dataset.step)")]

    assert steps() == [layer.step for layer in lenet.layers]
    page.get_by_role("button", name="time", exact=True).last.click()
    slowest = sorted(lenet.layers, key=lambda layer: (-(layer.seconds or 0), layer.step))
    assert steps() == [layer.step for layer in slowest]
    page.get_by_role("columnheader", name="MACs").get_by_role("button").press("Enter")
    page.get_by_role("columnheader", name="MACs").get_by_role("button").press("Enter")
    multiplying = [layer for layer in lenet.layers if layer.macs]
    fewest = [layer.step for layer in sorted(multiplying, key=lambda layer: (layer.macs or 0, layer.step))]
    assert steps()[: len(fewest)] == fewest
    page.fill("#layer-filter", "GEMM")
    assert sorted(steps()) == [layer.step for layer in lenet.layers if layer.op == "gemm"]
    assert f"of {len(lenet.layers)} layers" in page.locator(".layer-table").inner_text()


def test_columns_that_no_layer_needs_are_left_out(lenet: Report, show: Show) -> None:
    page = show(lenet)
    tab(page, "layers")
    titles = texts(page, "#layer-table th button")
    assert not {"scale", "SQNR", "density", "pattern"} & set(titles)
    assert "error" in titles


def test_columns_of_integers_and_zeros_stand_where_they_apply(lenet: Report, show: Show) -> None:
    integer = IntegerFact(0.5, 0, 0.25, 3, (0.001, 0.002), 8, 41.5)
    sparsity = SparsityFact(0.1, "unstructured", 0.0, "gemm.f32")
    first = replace(lenet.layers[0], integer=integer, sparsity=sparsity)
    exact = tuple(
        replace(layer, numeric=NumericError(layer.name, 0.0, 0.0, 0.0, "")) for layer in (first, *lenet.layers[1:])
    )
    page = show(replace(lenet, layers=exact))
    tab(page, "layers")
    assert {"scale", "SQNR", "bits", "density", "pattern", "pays below"} <= set(texts(page, "#layer-table th button"))
    row = page.locator("#layer-table tbody tr").first
    assert {"41.5", "8", "unstructured", "never"} <= set(row.locator("td").all_text_contents())
    page.get_by_role("button", name="error", exact=True).first.click()
    playwright.expect(page.locator("#layer-bars")).to_contain_text("error: 0 in every layer")
    row.click()
    assert "8-bit integers" in page.locator("#details").inner_text()
    assert "Zeros in the weight" in page.locator("#details").inner_text()


def test_plots_have_a_mark_for_each_fact(lenet: Report, show: Show) -> None:
    page = show(lenet)
    tab(page, "layers")
    for measure in ("time", "MACs", "bytes", "error"):
        page.locator(".choice-buttons").get_by_role("button", name=measure, exact=True).click()
        playwright.expect(page.locator("#layer-bars .bar")).to_have_count(len(lenet.layers))
    tab(page, "roofline")
    multiplying = [layer for layer in lenet.layers if layer.macs and layer.read_bytes is not None]
    playwright.expect(page.locator("#roofline .point")).to_have_count(len(multiplying))
    assert page.locator("#roofline .roof").count() == 1 + len(lenet.machine.bandwidths)
    point = page.locator("#roofline .point").first
    point.focus()
    assert page.locator("#tooltip").is_visible()
    page.keyboard.press("Enter")
    step = point.get_attribute("data-step")
    assert f"Step {step}" in page.locator("#details").inner_text()
    tab(page, "memory")
    playwright.expect(page.locator("#memory-timeline .buffer")).to_have_count(len(lenet.memory.buffers))
    page.keyboard.press("Tab")
    tab(page, "layers")
    assert page.locator("#layer-table tr.is-selected").get_attribute("data-step") == step


def test_missing_facts_are_said_to_be_missing(resnet50: Report, show: Show) -> None:
    reason = "this is why there are none"
    bare = replace(
        resnet50,
        stages=(),
        refused_rewrites=(),
        layers=(),
        memory=replace(resnet50.memory, arena_bytes=None, buffers=(), reason=reason),
        summary=replace(resnet50.summary, stages_reason=reason, seconds_reason=reason),
    )
    page = show(bare)
    assert reason in page.locator("#part-overview").inner_text()
    for name in ("graph", "roofline", "memory"):
        tab(page, name)
        assert reason in page.locator(f"#part-{name} .empty-state").inner_text()
    tab(page, "layers")
    assert "no steps" in page.locator("#part-layers").inner_text()
    tab(page, "refused")
    assert page.locator("#part-refused .empty-state").count() == 2


def test_a_report_without_passes_shows_the_compiled_graph(lenet: Report, show: Show) -> None:
    only = replace(lenet.stages[-1], name="compiled", added=(), removed=(), changed=(), rewrites=())
    reason = "the file holds no source"
    page = show(replace(lenet, stages=(only,), summary=replace(lenet.summary, stages_reason=reason)))
    tab(page, "graph")
    assert page.locator("[data-pane=after] .leaf[data-key]").count() == len(lenet.graphs[only.graph].nodes)
    assert not page.locator("[data-pane=before]").is_visible()
    assert reason in page.locator("#part-graph").inner_text()


def test_hostile_names_stay_text(lenet: Report, show: Show) -> None:
    data = lenet.to_json().replace("conv1", json.dumps(HOSTILE)[1:-1])
    page = show(data)
    for name in ("graph", "layers", "roofline", "memory", "refused", "overview"):
        tab(page, name)
    tab(page, "graph")
    page.fill("#graph-search", "onerror")
    page.keyboard.press("Enter")
    assert HOSTILE in page.locator("#details").inner_text()
    assert page.locator("img").count() == 0
    assert page.locator("#details b").count() == 0
    assert page.title() == "report"


def test_keys_reach_tabs_and_nodes(lenet: Report, show: Show) -> None:
    page = show(lenet)
    page.locator("#tab-overview").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#part-graph").is_visible()
    page.locator("[data-pane=after] svg").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.dataset.key")
    graph = lenet.graphs[lenet.stages[-1].graph]
    assert focused == lenet.nodes[graph.nodes[0]].key
    page.keyboard.press("Enter")
    assert lenet.nodes[graph.nodes[0]].op in page.locator("#details h2").inner_text()


def test_the_reader_chooses_light_or_dark(lenet: Report, show: Show) -> None:
    page = show(lenet)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("#theme-button")
    dark = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == dark


def test_the_policy_forbids_the_network(lenet: Report, browser: object, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_page(lenet.to_json(), "report"))
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    for attempt in ("fetch('https://localhost:1/').then(() => 'sent', () => 'refused')", _IMAGE, _INLINE):
        assert page.evaluate(attempt) == "refused"
    page.close()


_IMAGE = """new Promise(resolve => {
  addEventListener("securitypolicyviolation", () => resolve("refused"), { once: true });
  document.body.append(Object.assign(new Image(), { src: "https://localhost:1/" }));
})"""

_INLINE = """(() => {
  const script = document.createElement("script");
  script.textContent = "window.ran = true";
  document.body.append(script);
  return window.ran ? "ran" : "refused";
})()"""
