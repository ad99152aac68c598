/** The frame of a plot: an SVG as wide as its place, drawn anew when that changes, with axes and a title for each. */
/* global d3 */
import { element } from "./dom.js";

const WIDTH_UNSEEN = 1000;

export class PlotFrame {
  /**
   * @param {{id: string, label: string, height: number, margin: {top, right, bottom, left}}} shape
   * @param {function(d3.Selection, {width: number, height: number})} draw fills the group inside the margins
   */
  constructor(shape, draw) {
    this._shape = shape;
    this._draw = draw;
    this.root = element("div", { class: "plot", id: shape.id });
    this._svg = d3
      .select(this.root)
      .append("svg")
      .attr("role", "group")
      .attr("aria-label", shape.label)
      .attr("height", shape.height);
    let width = 0;
    new ResizeObserver(() => {
      if (Math.abs(this.root.clientWidth - width) < 2) return;
      width = this.root.clientWidth;
      this.redraw();
    }).observe(this.root);
  }

  redraw() {
    const { margin, height } = this._shape;
    const width = this.root.clientWidth || WIDTH_UNSEEN;
    this._svg.attr("width", width).selectAll("*").remove();
    const inner = {
      width: Math.max(80, width - margin.left - margin.right),
      height: height - margin.top - margin.bottom,
    };
    this._draw(this._svg.append("g").attr("transform", `translate(${margin.left},${margin.top})`), inner);
  }
}

/** The axis on the left, with lines across the plot. */
export function leftAxis(layer, scale, { width, height }, title, text, ticks = 6) {
  const axis = d3.axisLeft(scale).ticks(ticks).tickFormat(text).tickSizeOuter(0);
  const group = layer.append("g").attr("class", "axis").call(axis);
  group.selectAll(".tick").append("line").attr("class", "grid-line").attr("x2", width);
  group
    .append("text")
    .attr("class", "axis-title")
    .attr("transform", "rotate(-90)")
    .attr("x", -height / 2)
    .attr("y", -66)
    .text(title);
}

/** Whether a tick of a logarithmic axis has a label: 1, 2 and 5 times powers of ten. */
export function isRound(value) {
  return /^[125](\.0+)?e/.test(value.toExponential(6));
}

/** Leave out ticks without a label. */
export function removeBareTicks(layer) {
  layer
    .selectAll(".tick")
    .filter((value, index, ticks) => ticks[index].textContent === "")
    .remove();
}

/** The axis below. */
export function bottomAxis(layer, scale, { width, height }, title, text, ticks = 10) {
  const axis = d3.axisBottom(scale).ticks(ticks).tickFormat(text).tickSizeOuter(0);
  const group = layer.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(axis);
  group
    .append("text")
    .attr("class", "axis-title")
    .attr("x", width / 2)
    .attr("y", 38)
    .text(title);
}

/**
 * Make marks of a plot reachable: one Tab stop for all, arrow keys move between them in the order of their data, Enter
 * chooses.
 */
export function makeWalkable(marks, choose) {
  const nodes = marks.nodes();
  marks
    .attr("role", "button")
    .attr("tabindex", (datum, index) => (index === 0 ? 0 : -1))
    .on("click", (event, datum) => choose(datum))
    .on("keydown", (event, datum) => {
      const index = nodes.indexOf(event.currentTarget);
      const next = { ArrowRight: index + 1, ArrowDown: index + 1, ArrowLeft: index - 1, ArrowUp: index - 1 }[event.key];
      if (nodes[next]) {
        event.currentTarget.setAttribute("tabindex", -1);
        nodes[next].setAttribute("tabindex", 0);
        nodes[next].focus();
      } else if (event.key === "Enter" || event.key === " ") {
        choose(datum);
      } else {
        return;
      }
      event.preventDefault();
    });
}

/** A legend of kinds: a coloured square and its name each. */
export function kindLegend(kinds, titleOf) {
  return element(
    "ul",
    { class: "legend" },
    ...kinds.map((kind) =>
      element("li", { class: `kind-${kind}` }, element("span", { class: "legend-swatch" }), titleOf(kind)),
    ),
  );
}
