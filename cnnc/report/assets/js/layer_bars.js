/** A bar for each layer in the order of the program, as high as its time, products, bytes, rate or error. */
/* global d3 */
import { choiceButtons, element, emptyState } from "./dom.js";
import { layerName, measuresOf } from "./layer_columns.js";
import { opKind } from "./op_kinds.js";
import { bottomAxis, leftAxis, makeWalkable, PlotFrame } from "./plot_frame.js";
import { addTooltip } from "./tooltip.js";

const WIDEST_BAR = 56;
const SHAPE = {
  id: "layer-bars",
  label: "bars of layers",
  height: 250,
  margin: { top: 12, right: 16, bottom: 48, left: 82 },
};

export class LayerBars {
  constructor(report, selection) {
    this._report = report;
    this._selection = selection;
    this._measures = measuresOf(report);
    if (!this._measures.length) {
      this.root = emptyState("There is nothing to draw bars of.", report.summary.seconds_reason);
      return;
    }
    [this._measure] = this._measures;
    this._frame = new PlotFrame(SHAPE, (layer, size) => this._draw(layer, size));
    const choices = this._measures.map((measure) => [measure.id, measure.title]);
    this.root = element(
      "div",
      {},
      element(
        "div",
        { class: "toolbar" },
        choiceButtons("Height of the bars", choices, this._measure.id, (id) => {
          this._measure = this._measures.find((measure) => measure.id === id);
          this._frame.redraw();
        }),
      ),
      this._frame.root,
    );
    selection.onChange(() => this._select());
  }

  _draw(layer, size) {
    const { layers } = this._report;
    const valueOf = (each) => this._measure.value(each) ?? 0;
    const x = d3
      .scaleBand(
        layers.map((each) => each.step),
        [0, size.width],
      )
      .padding(0.18);
    const isLogarithmic = this._measure.id === "error";
    const values = layers.map(valueOf).filter((value) => value > 0);
    const y = isLogarithmic
      ? d3.scaleLog([d3.min(values) / 2, d3.max(values) * 1.5], [size.height, 0])
      : d3.scaleLinear([0, d3.max(values)], [size.height, 0]).nice(5);
    leftAxis(layer, y, size, this._measure.title, this._measure.text, 5);
    const every = Math.ceil(layers.length / (size.width / 44));
    bottomAxis(layer, x, size, "step of the program", (step, index) => (index % every ? "" : step));
    layer
      .selectAll(".axis .tick")
      .filter((step, index, nodes) => nodes[index].textContent === "")
      .remove();
    const height = (each) => (valueOf(each) > 0 ? size.height - y(valueOf(each)) : 0);
    const width = Math.min(WIDEST_BAR, Math.max(1, x.bandwidth()));
    const bars = layer
      .append("g")
      .selectAll("rect")
      .data(layers)
      .join("rect")
      .attr("class", (each) => `bar kind-${opKind(each.op)}`)
      .attr("data-step", (each) => each.step)
      .attr("x", (each) => x(each.step) + (x.bandwidth() - width) / 2)
      .attr("width", width)
      .attr("y", (each) => size.height - height(each))
      .attr("height", height)
      .attr(
        "aria-label",
        (each) => `step ${each.step}, ${each.op} ${layerName(each)}: ${this._measure.text(this._measure.value(each))}`,
      );
    addTooltip(bars, (each) => [
      `${each.step}: ${each.op} ${layerName(each)}`,
      ...this._measures.map((measure) => `${measure.title}: ${measure.text(measure.value(each))}`),
    ]);
    makeWalkable(bars, (each) => this._selection.chooseLayer(each.step));
    this._bars = bars;
    this._select();
  }

  _select() {
    this._bars?.classed("is-selected", (each) => each.step === this._selection.current.step);
  }
}
