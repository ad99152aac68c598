/**
 * The part "Roofline": each layer by the operations that it does a byte moved, and the rate that it reaches, under the
 * rates that the machine allows (Williams, Waterman and Patterson, "Roofline", 2009). Both axes are logarithmic.
 */
/* global d3 */
import { element, emptyState } from "./dom.js";
import { digits, giga, percent, seconds } from "./format.js";
import { layerName } from "./layer_columns.js";
import { kindsOf, kindTitle, opKind } from "./op_kinds.js";
import { bottomAxis, isRound, kindLegend, leftAxis, makeWalkable, PlotFrame, removeBareTicks } from "./plot_frame.js";
import { flopRate, intensity, roofShare } from "./report_data.js";
import { addTooltip } from "./tooltip.js";

const SHAPE = {
  id: "roofline",
  label: "roofline plot",
  height: 520,
  margin: { top: 16, right: 24, bottom: 52, left: 82 },
};
const SMALLEST_RADIUS = 4;
const LARGEST_RADIUS = 17;

export class Roofline {
  constructor(container, report, selection) {
    this._report = report;
    this._selection = selection;
    this._layers = report.layers.filter((layer) => intensity(layer) !== null && flopRate(layer) !== null);
    if (!this._layers.length) {
      container.append(emptyState("No layer has both a measured time and products.", report.summary.seconds_reason));
      return;
    }
    const frame = new PlotFrame(SHAPE, (layer, size) => this._draw(layer, size));
    const legend = kindLegend(kindsOf(this._layers.map((layer) => layer.op)), kindTitle);
    container.append(
      element("div", { class: "card" }, element("p", { class: "note" }, this._sentences()), frame.root, legend),
    );
    selection.onChange(() => this._select());
  }

  _sentences() {
    const { layers } = this._report;
    const without = layers.length - this._layers.length;
    const sentences = [
      "A point is a layer, the larger the longer it takes.",
      "Below a sloping line a layer waits for that level of the memory, below the level line for the arithmetic units.",
      "Winograd's and Strassen's methods need fewer products than are counted, so their layers can lie above the roof.",
    ];
    if (layers.some((layer) => layer.integer)) {
      sentences.push("The roof is that of float32; products of 8-bit integers are quicker.");
    }
    if (without) sentences.push(`${without} of ${layers.length} layers do no products and are left out.`);
    return sentences.join(" ");
  }

  _draw(layer, size) {
    const { machine } = this._report;
    const [x, y] = this._scales(size);
    const label = (value) => (isRound(value) ? String(Number(value.toPrecision(1))) : "");
    leftAxis(layer, y, size, "GFLOP/s", (value) => label(value / 1e9), 6);
    bottomAxis(layer, x, size, "operations a byte (FLOP/B)", label, 8);
    removeBareTicks(layer);
    const clip = layer.append("clipPath").attr("id", "roofline-clip").append("rect");
    clip.attr("width", size.width).attr("height", size.height);
    const roofs = layer.append("g").attr("clip-path", "url(#roofline-clip)");
    const longest = d3.max(this._layers, (each) => each.seconds);
    const radius = d3.scaleSqrt([0, longest], [SMALLEST_RADIUS, LARGEST_RADIUS]);
    const inOrder = d3.sort(this._layers, (a, b) => d3.descending(a.seconds, b.seconds));
    this._points = layer
      .append("g")
      .selectAll("circle")
      .data(inOrder)
      .join("circle")
      .attr("class", (each) => `point kind-${opKind(each.op)}`)
      .attr("data-step", (each) => each.step)
      .attr("cx", (each) => x(intensity(each)))
      .attr("cy", (each) => y(flopRate(each)))
      .attr("r", (each) => radius(each.seconds))
      .attr("aria-label", (each) => tooltipOf(each).join(", "));
    drawRoofs(roofs, layer.append("g"), machine, x, y, size);
    addTooltip(this._points, tooltipOf);
    makeWalkable(this._points, (each) => this._selection.chooseLayer(each.step));
    this._select();
  }

  /** From below the smallest point to above the roof. */
  _scales({ width, height }) {
    const { machine } = this._report;
    const [low, high] = d3.extent(this._layers, intensity);
    const slowest = machine.bandwidths.length ? d3.min(machine.bandwidths, ([, rate]) => rate) : machine.flops;
    const x = d3.scaleLog([Math.min(low / 2, 0.3), Math.max(high * 2, (machine.flops / slowest) * 4)], [0, width]);
    const rates = d3.extent(this._layers, flopRate);
    const y = d3.scaleLog([rates[0] / 2.5, Math.max(machine.flops, rates[1]) * 1.8], [height, 0]);
    return [x, y];
  }

  _select() {
    this._points?.classed("is-selected", (each) => each.step === this._selection.current.step);
  }
}

/**
 * The level line of the peak, and for each level of the memory a line that rises to it; their labels stand before the
 * points.
 */
function drawRoofs(layer, labels, machine, x, y, size) {
  const [left, right] = x.domain();
  const ridge = (rate) => machine.flops / rate;
  const fastest = machine.bandwidths.length ? ridge(machine.bandwidths[0][1]) : left;
  const line = (points) =>
    layer
      .append("path")
      .attr("class", "roof")
      .attr("d", d3.line()(points.map(([fx, fy]) => [x(fx), y(fy)])));
  line([
    [Math.min(fastest, right), machine.flops],
    [right, machine.flops],
  ]);
  labels
    .append("text")
    .attr("class", "roof-label")
    .attr("x", size.width - 6)
    .attr("y", y(machine.flops) - 7)
    .attr("text-anchor", "end")
    .text(`peak ${giga(machine.flops)} GFLOP/s`);
  const bottom = y.domain()[0];
  for (const [index, [level, rate]] of machine.bandwidths.entries()) {
    line([
      [left, rate * left],
      [ridge(rate), machine.flops],
    ]);
    const start = Math.max(left, bottom / rate) * 1.15;
    const [px, py] = [x(start), y(rate * start)];
    const slope = Math.atan2(y(rate * start * 10) - py, x(start * 10) - px) * (180 / Math.PI);
    labels
      .append("text")
      .attr("class", "roof-label")
      .attr("transform", `translate(${px},${py}) rotate(${slope})`)
      .attr("dy", index === 0 ? -6 : 14)
      .text(`${level} ${giga(rate)} GB/s`);
  }
}

function tooltipOf(layer) {
  return [
    `${layer.step}: ${layer.op} ${layerName(layer)}`,
    `${seconds(layer.seconds)}, ${giga(flopRate(layer))} GFLOP/s`,
    `${digits(intensity(layer))} FLOP/B`,
    ...(roofShare(layer) === null ? [] : [`${percent(roofShare(layer))} of the roof, bound by ${layer.bound}`]),
    layer.kernel,
  ];
}
