/** The part "Overview": totals, what was compiled and for what, where the time goes, and what the passes did. */
import { card, element, emptyState, factList, link, list, table } from "./dom.js";
import { bytes, count, giga, known, plural, seconds, tiny } from "./format.js";
import { changeText, positionsOf, WHOLE } from "./stage_changes.js";
import { slowestLayers, timeByOp } from "./time_shares.js";

const RATES = {
  measured: "measured for this report",
  calibrated: "as cnnc calibrate measured them",
  usual: "usual ones, not measured",
};

/** @param {{showStage: function(number), showLayer: function(number)}} links to the graph after a pass, to a layer */
export function mountOverview(container, report, { showStage, showLayer }) {
  const times = element(
    "div",
    { class: "stack" },
    card("Where the time goes", timeByOp(report)),
    card("Slowest layers", slowestLayers(report, showLayer)),
  );
  container.append(
    element("div", { class: "cards" }, ...figures(report)),
    element("div", { class: "columns" }, times, card("Model and machine", factList(modelFacts(report)))),
    card("What the passes did", passTable(report, showStage)),
  );
}

function figures({ summary, memory, machine }) {
  const rate = summary.seconds ? (2 * summary.macs) / summary.seconds : null;
  const host = summary.host_steps;
  return [
    figure(
      "Time of a run",
      known(summary.run_seconds ?? summary.seconds, seconds),
      `${plural(machine.threads, "thread")}; predicted ${seconds(summary.predicted_seconds)}`,
      summary.seconds_reason || "nothing was measured",
    ),
    figure(
      "Products",
      `${count(summary.macs)} MACs`,
      rate === null ? "multiply-accumulates" : `${giga(rate)} GFLOP/s; the peak is ${giga(machine.flops)}`,
    ),
    figure("Graph", `${summary.nodes_before} → ${summary.nodes_after}`, "nodes before and after the passes"),
    figure("Program", plural(summary.steps, "step"), host ? `${host} on the host, in NumPy` : "all compiled kernels"),
    figure(
      "Arena",
      known(memory.arena_bytes, bytes),
      known(memory.unshared_bytes, (size) => `${bytes(size)} without reuse`),
      memory.reason,
    ),
    figure("Weights", bytes(summary.weight_bytes), `${bytes(memory.constant_bytes)} packed`),
    figure(
      "Largest error",
      known(summary.max_error, tiny),
      "standard deviations from onnxruntime",
      summary.error_reason || "not compared with onnxruntime",
    ),
  ];
}

/** A number with a note below; `reason` says why there is no number. */
function figure(title, value, note, reason = "") {
  return element(
    "div",
    { class: value === null ? "card figure is-empty" : "card figure" },
    element("h2", {}, title),
    element("p", { class: "figure-value" }, value ?? "–"),
    element("p", { class: "figure-note" }, value === null ? reason : note),
  );
}

function modelFacts({ model, machine }) {
  const pairs = (items) => items.map(([name, value]) => `${name} = ${value}`).join(", ");
  const ports = (items) =>
    list(
      "value-list",
      items.map(({ name, type }) => [name, element("code", {}, type)]),
    );
  return [
    ["model", model.name],
    ["inputs", ports(model.inputs)],
    ["outputs", ports(model.outputs)],
    ["open sizes", pairs(model.sizes)],
    ["target", `${model.target}, -O${model.level}`],
    ["options", pairs(model.options)],
    ["machine", machine.name],
    ["rates", RATES[machine.origin] ?? machine.origin],
    ["threads", machine.threads],
    ["peak", `${giga(machine.flops)} GFLOP/s`],
    ["memory", machine.bandwidths.map(([level, rate]) => `${level} ${giga(rate)} GB/s`).join(", ")],
    ["caches", machine.cache_bytes.map(([level, size]) => `${level} ${bytes(size)}`).join(", ")],
    ["cnnc", model.version],
  ];
}

/** Passes that changed the graph, with a link to each one in the graph. */
function passTable(report, showStage) {
  const positions = positionsOf(report).filter((each) => each.stage !== WHOLE && each.stage !== 0);
  const active = positions.filter((each) => each.marksBefore.size + each.marksAfter.size > 0);
  if (!positions.length) return emptyState("The passes are not shown.", report.summary.stages_reason);
  if (!active.length) return emptyState("No pass changed the graph.", `${positions.length} passes ran.`);
  const nodes = (graph) => report.graphs[graph].nodes.length;
  const rows = active.map((position) => [
    link(position.title, () => showStage(position.stage)),
    element("span", { class: "muted" }, position.why),
    changeText(position),
    `${nodes(position.before)} → ${nodes(position.after)}`,
    seconds(position.seconds),
  ]);
  const titles = ["pass", "why it stands there", "changes", { number: "nodes" }, { number: "time" }];
  const idle = positions.length - active.length;
  return element(
    "div",
    {},
    table("plain-table", titles, rows),
    element("p", { class: "note" }, `${idle} more passes ran and found nothing to change.`),
  );
}
