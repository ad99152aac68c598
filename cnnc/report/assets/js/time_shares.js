/** Where the time goes: each op's share of it, and the layers that take the most. */
/* global d3 */
import { element, emptyState, link, table } from "./dom.js";
import { count, percent, seconds } from "./format.js";
import { layerName } from "./layer_columns.js";
import { kindTitle, opKind } from "./op_kinds.js";
import { roofShare } from "./report_data.js";

const SHOWN_LAYERS = 8;

/** Bars of the time of each op; of the products, where nothing was measured. */
export function timeByOp(report) {
  const reason = report.summary.seconds_reason || "nothing was measured";
  const isMeasured = report.layers.some((layer) => layer.seconds !== null);
  const valueOf = (layer) => (isMeasured ? layer.seconds : layer.macs) ?? 0;
  const ops = [...d3.group(report.layers, (layer) => layer.op)].map(([op, layers]) => ({
    op,
    number: layers.length,
    value: d3.sum(layers, valueOf),
  }));
  const total = d3.sum(ops, ({ value }) => value);
  if (!total) return emptyState("Nothing was measured, and no layer multiplies.", reason);
  const note = isMeasured ? null : element("p", { class: "note" }, `Shares of the multiply-accumulates: ${reason}.`);
  const rows = d3
    .sort(ops, (a, b) => d3.descending(a.value, b.value))
    .map((each) => shareRow(each, total, isMeasured ? seconds : count));
  return element("div", { class: "share-list" }, note, ...rows);
}

function shareRow({ op, number, value }, total, text) {
  const bar = element("div", { class: `share-bar kind-${opKind(op)}` });
  bar.style.width = `${(100 * value) / total}%`;
  return element(
    "div",
    { class: "share-row", title: kindTitle(opKind(op)) },
    element("span", { class: "share-name" }, op, element("span", { class: "muted" }, ` × ${number}`)),
    element("span", { class: "share-track" }, bar),
    element("span", { class: "share-value" }, text(value)),
    element("span", { class: "share-value muted" }, percent(value / total)),
  );
}

export function slowestLayers(report, showLayer) {
  const measured = report.layers.filter((layer) => layer.seconds !== null);
  if (!measured.length) return emptyState("No layer was measured.", report.summary.seconds_reason);
  const slowest = d3.sort(measured, (a, b) => d3.descending(a.seconds, b.seconds)).slice(0, SHOWN_LAYERS);
  const rows = slowest.map((layer) => [
    link(layerName(layer), () => showLayer(layer.step)),
    layer.op,
    seconds(layer.seconds),
    percent(layer.seconds / report.summary.seconds),
    percent(roofShare(layer)),
  ]);
  const titles = ["layer", "op", { number: "time" }, { number: "share" }, { number: "of roof" }];
  return table("plain-table", titles, rows);
}
