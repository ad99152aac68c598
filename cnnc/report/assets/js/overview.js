/** The part "Overview": totals, what was compiled and for what, where the time goes by op, and what the passes did. */
/* global d3 */
import { element, emptyState, factList } from "./dom.js";
import { bytes, count, giga, percent, plural, seconds, tiny } from "./format.js";
import { layerName } from "./layer_columns.js";
import { kindTitle, opKind } from "./op_kinds.js";
import { roofShare } from "./report_data.js";
import { changeText, positionsOf, WHOLE } from "./stage_changes.js";

const SHOWN_LAYERS = 8;

/** @param {{showStage: function(number), showLayer: function(number)}} links to the graph after a pass, and to a layer */
export function mountOverview(container, report, { showStage, showLayer }) {
  const { model, machine, summary, memory } = report;
  container.append(
    element("div", { class: "cards" }, ...summaryCards(summary, memory, machine)),
    element("div", { class: "columns" },
      element("div", { class: "stack" }, card("Where the time goes", timeByOp(report)), card("Slowest layers", slowestLayers(report, showLayer))),
      card("Model and machine", factList([
        ["model", model.name],
        ["inputs", portList(model.inputs)],
        ["outputs", portList(model.outputs)],
        ["open sizes", model.sizes.map(([name, size]) => `${name} = ${size}`).join(", ")],
        ["target", `${model.target}, -O${model.level}`],
        ["options", model.options.map(([name, value]) => `${name} = ${value}`).join(", ")],
        ["machine", machine.name],
        ["rates", { measured: "measured for this report", calibrated: "as cnnc calibrate measured them",
          usual: "of a usual machine, not measured" }[machine.origin] ?? machine.origin],
        ["threads", machine.threads],
        ["peak", `${giga(machine.flops)} GFLOP/s`],
        ["memory", machine.bandwidths.map(([level, rate]) => `${level} ${giga(rate)} GB/s`).join(", ")],
        ["caches", machine.cache_bytes.map(([level, size]) => `${level} ${bytes(size)}`).join(", ")],
        ["cnnc", model.version],
      ]))),
    card("What the passes did", passTable(report, showStage)));
}

function summaryCards(summary, memory, machine) {
  const rate = summary.seconds ? (2 * summary.macs) / summary.seconds : null;
  const run = summary.run_seconds ?? summary.seconds;
  return [
    figure("Time of a run", run === null ? null : seconds(run),
      run === null ? summary.seconds_reason || "nothing was measured"
        : `${plural(machine.threads, "thread")}; predicted ${seconds(summary.predicted_seconds)}`),
    figure("Products", `${count(summary.macs)} MACs`, rate === null ? "multiply-accumulates" : `${giga(rate)} GFLOP/s; the peak is ${giga(machine.flops)}`),
    figure("Graph", `${summary.nodes_before} → ${summary.nodes_after}`, "nodes before and after the passes"),
    figure("Program", plural(summary.steps, "step"), summary.host_steps ? `${summary.host_steps} of them on the host, in NumPy` : "all of them compiled kernels"),
    figure("Arena", memory.arena_bytes === null ? null : bytes(memory.arena_bytes),
      memory.arena_bytes === null ? memory.reason : `${bytes(memory.unshared_bytes)} without reuse`),
    figure("Weights", bytes(summary.weight_bytes), `${bytes(memory.constant_bytes)} packed`),
    figure("Largest error", summary.max_error === null ? null : tiny(summary.max_error),
      summary.max_error === null ? summary.error_reason || "not compared with onnxruntime" : "standard deviations from onnxruntime"),
  ];
}

function figure(title, value, note) {
  return element("div", { class: value === null ? "card figure is-empty" : "card figure" },
    element("h2", {}, title),
    element("p", { class: "figure-value" }, value ?? "–"),
    element("p", { class: "figure-note" }, note));
}

function card(title, ...content) {
  return element("section", { class: "card" }, element("h2", {}, title), ...content);
}

function portList(ports) {
  return element("ul", { class: "value-list" }, ...ports.map(({ name, type }) => element("li", {}, name, element("code", {}, type))));
}

/** Each op's share of the time; of the products, where nothing was measured. */
function timeByOp(report) {
  const isMeasured = report.layers.some((layer) => layer.seconds !== null);
  const valueOf = (layer) => (isMeasured ? layer.seconds : layer.macs) ?? 0;
  const rows = d3.rollups(report.layers, (layers) => [d3.sum(layers, valueOf), layers.length], (layer) => layer.op)
    .sort((a, b) => d3.descending(a[1][0], b[1][0]));
  const total = d3.sum(rows, ([, [value]]) => value);
  if (!total) return emptyState("Nothing was measured, and no layer multiplies.", report.summary.seconds_reason);
  const bars = rows.map(([op, [value, number]]) => {
    const bar = element("div", { class: `share-bar kind-${opKind(op)}` });
    bar.style.width = `${(100 * value) / total}%`;
    return element("div", { class: "share-row", title: kindTitle(opKind(op)) },
      element("span", { class: "share-name" }, op, element("span", { class: "muted" }, ` × ${number}`)),
      element("span", { class: "share-track" }, bar),
      element("span", { class: "share-value" }, isMeasured ? seconds(value) : count(value)),
      element("span", { class: "share-value muted" }, percent(value / total)));
  });
  return element("div", { class: "share-list" },
    isMeasured ? null : element("p", { class: "note" }, `Shares of the multiply-accumulates: ${report.summary.seconds_reason || "nothing was measured"}.`),
    ...bars);
}

function slowestLayers(report, showLayer) {
  const measured = report.layers.filter((layer) => layer.seconds !== null);
  if (!measured.length) return emptyState("No layer was measured.", report.summary.seconds_reason);
  const slowest = d3.sort(measured, (a, b) => d3.descending(a.seconds, b.seconds)).slice(0, SHOWN_LAYERS);
  return element("table", { class: "plain-table" },
    element("thead", {}, element("tr", {}, element("th", {}, "layer"), element("th", {}, "op"),
      ...["time", "share", "of roof"].map((title) => element("th", { class: "number" }, title)))),
    element("tbody", {}, ...slowest.map((layer) => element("tr", {},
      element("td", {}, element("button", { type: "button", class: "link", onclick: () => showLayer(layer.step) }, layerName(layer))),
      element("td", {}, layer.op),
      element("td", { class: "number" }, seconds(layer.seconds)),
      element("td", { class: "number" }, percent(layer.seconds / report.summary.seconds)),
      element("td", { class: "number" }, percent(roofShare(layer)))))));
}

/** Passes that changed the graph, with a link to each one in the graph. */
function passTable(report, showStage) {
  const positions = positionsOf(report).filter((each) => each.stage !== WHOLE && each.stage !== 0);
  const active = positions.filter((each) => each.marksBefore.size + each.marksAfter.size > 0);
  if (!positions.length) return emptyState("The passes are not shown.", report.summary.stages_reason);
  if (!active.length) return emptyState("No pass changed the graph.", `${positions.length} passes ran.`);
  const nodes = (graph) => String(report.graphs[graph].nodes.length);
  return element("div", {},
    element("table", { class: "plain-table" },
      element("thead", {}, element("tr", {}, ...["pass", "why it stands there", "changes"].map((title) => element("th", {}, title)),
        ...["nodes", "time"].map((title) => element("th", { class: "number" }, title)))),
      element("tbody", {}, ...active.map((position) => element("tr", {},
        element("td", {}, element("button", { type: "button", class: "link", onclick: () => showStage(position.stage) }, position.title)),
        element("td", { class: "muted" }, position.why),
        element("td", {}, changeText(position)),
        element("td", { class: "number" }, `${nodes(position.before)} → ${nodes(position.after)}`),
        element("td", { class: "number" }, seconds(position.seconds)))))),
    element("p", { class: "note" }, `${positions.length - active.length} more passes ran and found nothing to change.`));
}
