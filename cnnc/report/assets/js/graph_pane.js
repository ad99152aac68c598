/** One graph in a window of its own that is zoomed, panned and walked through with the keyboard. */
/* global d3 */
import { element } from "./dom.js";
import { drawGraph } from "./graph_drawing.js";
import { layoutGraph } from "./graph_layout.js";

const ZOOM_RANGE = [0.03, 3];
const MARGIN = 24;
/** Taken for the size of a window that is not shown yet. */
const WINDOW_UNSEEN = { width: 640, height: 560 };
const SMALLEST_TEXT = 0.55;
const READABLE_SCALE = 0.8;
const DIRECTIONS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

export class GraphPane {
  /**
   * @param {string} name "before" or "after"
   * @param {{onNode: function, onGroup: function, onToggle: function}} handlers
   */
  constructor(name, handlers) {
    this._handlers = handlers;
    this._drawing = null;
    this._shownWidth = 0;
    this._heading = element("h3", { class: "pane-heading" });
    this.root = element("div", { class: "graph-pane", "data-pane": name }, this._heading);
    this._svg = d3
      .select(this.root)
      .append("svg")
      .attr("role", "group")
      .attr("tabindex", 0)
      .attr(
        "aria-label",
        `graph ${name}; arrow keys move between nodes, Enter selects, Space opens and closes a group`,
      );
    this._svg
      .append("defs")
      .append("marker")
      .attr("id", "arrow-head")
      .attr("viewBox", "0 0 8 8")
      .attr("refX", 7)
      .attr("refY", 4)
      .attr("markerWidth", 9)
      .attr("markerHeight", 9)
      .attr("markerUnits", "userSpaceOnUse")
      .attr("orient", "auto")
      .append("path")
      .attr("d", "M0,0.5 L8,4 L0,7.5 Z");
    this._layer = this._svg.append("g");
    this._zoom = d3
      .zoom()
      .scaleExtent(ZOOM_RANGE)
      .on("zoom", ({ transform }) => {
        this._layer.attr("transform", transform);
        this._shownWidth = this._window.width;
      });
    this._svg.call(this._zoom).on("dblclick.zoom", null);
    this._svg.on("keydown", (event) => this._onKey(event));
    this._keepCentred();
  }

  /** When the window gets wider or narrower, what was in its middle stays there. */
  _keepCentred() {
    new ResizeObserver(() => {
      const grown = this._window.width - this._shownWidth;
      if (Math.abs(grown) < 1) return;
      this._svg.call(this._zoom.translateBy, grown / 2 / d3.zoomTransform(this._svg.node()).k, 0);
    }).observe(this.root);
  }

  /** Draw a tree with some groups open; `anchor`, an id, keeps its place in the window. */
  draw(heading, tree, open, facts, anchor = null) {
    const before = anchor && this._placeOf(anchor);
    this._heading.textContent = heading;
    this._drawing = layoutGraph(tree, open);
    drawGraph(this._layer, this._drawing, facts, this._handlers);
    const after = anchor && this._placeOf(anchor);
    if (!before || !after) return;
    this._svg.call(this._zoom.translateBy, before.x - after.x, before.y - after.y);
  }

  /** Show the whole graph. */
  fit() {
    this._show(this._fittingScale(), 0.5);
  }

  /** The scale at which to begin: that of the whole graph if it can be read then, else a readable one. */
  get startScale() {
    const fitting = this._fittingScale();
    return fitting >= SMALLEST_TEXT ? Math.min(fitting, 1) : READABLE_SCALE;
  }

  /** Show the graph at a scale: its middle if it fits, else its beginning. */
  showStart(scale) {
    this._show(scale, this._fittingScale() >= scale ? 0.5 : 0);
  }

  zoomBy(factor) {
    this._svg.call(this._zoom.scaleBy, factor);
  }

  /** Bring a node, group or box into the middle, and mark it as the selected one. */
  reveal(id) {
    const place = this._placeOf(id);
    if (!place) return;
    const scale = Math.max(d3.zoomTransform(this._svg.node()).k, READABLE_SCALE);
    this._svg.call(this._zoom.scaleTo, scale);
    this._svg.call(this._zoom.translateTo, place.x + place.width / 2, place.y + Math.min(place.height, 200) / 2);
  }

  /** Mark the node or group of this id, and its edges, as selected; null for none. */
  select(id) {
    this._layer.selectAll(".leaf, .group-box").classed("is-selected", (each) => each.item.id === id);
    this._layer
      .selectAll(".edge")
      .classed("is-selected", (edge) => edge.ends.includes(id))
      .filter(".is-selected")
      .raise();
  }

  /** Mark what a search found. */
  markFound(ids) {
    this._layer
      .selectAll(".leaf")
      .classed(
        "is-found",
        (each) => ids.has(each.item.id) || (each.item.isGroup && each.item.leaves.some((leaf) => ids.has(leaf.id))),
      );
  }

  has(id) {
    return this._placeOf(id) !== undefined;
  }

  _placeOf(id) {
    return this._drawing && [...this._drawing.leaves, ...this._drawing.boxes].find((each) => each.item.id === id);
  }

  get _window() {
    const { width, height } = this._svg.node().getBoundingClientRect();
    return width ? { width, height } : WINDOW_UNSEEN;
  }

  _widthScale() {
    return (this._window.width - 2 * MARGIN) / this._drawing.width;
  }

  _fittingScale() {
    return Math.min(this._widthScale(), (this._window.height - 2 * MARGIN) / this._drawing.height, 1.25);
  }

  /**
   * Show the graph, or the part around its first node if it is wider than the window; `vertical` is 0 for its beginning
   * at the top, 0.5 for its middle in the middle.
   */
  _show(scale, vertical) {
    const { width, height } = this._window;
    const [first] = this._drawing.leaves;
    const middle = this._drawing.width * scale > width && first ? first.x + first.width / 2 : this._drawing.width / 2;
    const top = vertical ? (height - this._drawing.height * scale) / 2 : MARGIN;
    this._svg.call(this._zoom.transform, d3.zoomIdentity.translate(width / 2 - middle * scale, top).scale(scale));
  }

  _onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const focused = event.target.closest(".leaf, .group-box");
    const actions = { "+": () => this.zoomBy(1.3), "-": () => this.zoomBy(1 / 1.3), f: () => this.fit() };
    if (event.key in DIRECTIONS) this._moveFocus(focused, DIRECTIONS[event.key]);
    else if (event.key in actions) actions[event.key]();
    else if (focused && event.key === "Enter") focused.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    else if (focused && event.key === " " && focused.dataset.group)
      this._handlers.onToggle(d3.select(focused).datum().item);
    else return;
    event.preventDefault();
  }

  /** To the nearest node in a direction; distance across it counts double. */
  _moveFocus(focused, [dx, dy]) {
    const places = this._drawing.leaves;
    const from = focused && d3.select(focused).datum();
    const center = (place) => [place.x + place.width / 2, place.y + place.height / 2];
    let target = places[0];
    if (from) {
      const [x, y] = center(from);
      const distance = (place) => {
        const [px, py] = center(place);
        const along = (px - x) * dx + (py - y) * dy;
        const across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
        return along > 1 ? along + 2 * across : Infinity;
      };
      target = d3.least(places, distance);
      if (!target || distance(target) === Infinity) return;
    }
    this.reveal(target.item.id);
    this._layer
      .selectAll(".leaf")
      .filter((each) => each === target)
      .node()
      .focus({ preventScroll: true });
  }
}
