/** A bar for each layer in the order of the program, as high as its time, products, bytes, rate or error. */
/* global d3 */
import { choiceButtons, element, emptyState } from "./dom.js";
import { layerName, measuresOf } from "./layer_columns.js";
import { opKind } from "./op_kinds.js";
import { bottomAxis, isRound, leftAxis, makeWalkable, PlotFrame, removeBareTicks } from "./plot_frame.js";
import { addTooltip } from "./tooltip.js";

const WIDEST_BAR = 56;
const STEP_WIDTH = 44;
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
    this._bars = null;
    const { layers } = this._report;
    const valueOf = (each) => this._measure.value(each) ?? 0;
    const x = d3
      .scaleBand(
        layers.map((each) => each.step),
        [0, size.width],
      )
      .padding(0.18);
    if (!layers.some((each) => valueOf(each) > 0)) {
      const text = `${this._measure.title}: 0 in every layer`;
      layer
        .append("text")
        .attr("class", "plot-note")
        .attr("x", size.width / 2)
        .attr("y", size.height / 2)
        .text(text);
      return;
    }
    const y = this._scale(layers.map(valueOf), size.height);
    const isLabelled = (value) => this._measure.id !== "error" || isRound(value);
    leftAxis(layer, y, size, this._measure.title, (value) => (isLabelled(value) ? this._measure.text(value) : ""), 5);
    const every = Math.ceil(layers.length / (size.width / STEP_WIDTH));
    bottomAxis(layer, x, size, "step of the program", (step, index) => (index % every ? "" : step));
    removeBareTicks(layer);
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

  /** Heights of values; errors differ by powers of ten, and their heights by as many steps. */
  _scale(values, height) {
    const positive = values.filter((value) => value > 0);
    if (this._measure.id !== "error") return d3.scaleLinear([0, d3.max(positive)], [height, 0]).nice(5);
    return d3.scaleLog([d3.min(positive) / 2, d3.max(positive) * 1.5], [height, 0]);
  }

  _select() {
    this._bars?.classed("is-selected", (each) => each.step === this._selection.current.step);
  }
}
