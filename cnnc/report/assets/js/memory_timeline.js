/**
 * The part "Memory": the arena over the steps of the program, a rectangle for each buffer, as the planner placed it.
 */
/* global d3 */
import { element, emptyState } from "./dom.js";
import { bytes, percent, plainName, plural } from "./format.js";
import { kindsOf, kindTitle, opKind } from "./op_kinds.js";
import { bottomAxis, kindLegend, makeWalkable, PlotFrame, removeBareTicks } from "./plot_frame.js";
import { addTooltip } from "./tooltip.js";

const SHAPE = {
  id: "memory-timeline",
  label: "buffers of the arena over the steps",
  height: 460,
  margin: { top: 22, right: 24, bottom: 52, left: 84 },
};
const LABEL_WIDTH = 7;
const LABEL_HEIGHT = 15;

export class MemoryTimeline {
  constructor(container, report, selection) {
    this._report = report;
    this._selection = selection;
    const { memory } = report;
    if (memory.arena_bytes === null || !memory.buffers.length) {
      container.append(
        emptyState("There is no memory plan to show.", memory.reason || "No activation lives in the arena."),
      );
      return;
    }
    const frame = new PlotFrame(SHAPE, (layer, size) => this._draw(layer, size));
    container.append(
      element(
        "div",
        { class: "card" },
        memory.reason ? element("p", { class: "note" }, memory.reason) : null,
        element("p", { class: "note" }, this._sentence()),
        frame.root,
        kindLegend(kindsOf(memory.buffers.map((buffer) => this._opOf(buffer))), kindTitle),
      ),
    );
    selection.onChange(() => this._select());
  }

  _sentence() {
    const { memory } = this._report;
    const { arena_bytes: arena, live_bytes: live } = memory;
    const least =
      arena === live
        ? "no plan needs less"
        : `${bytes(live)} are live at the worst step, so no plan needs less than ${percent(live / arena)} of it`;
    const buffers = `${plural(memory.buffers.length, "buffer")} of ${bytes(memory.unshared_bytes)} in all`;
    return [
      `${buffers} share an arena of ${bytes(arena)}: ${least}.`,
      `Beside it: ${bytes(memory.constant_bytes)} of packed weights and ${bytes(memory.scratch_bytes)} of scratch for`,
      "each worker. Where two overlap, a step writes its result in place of what it read.",
    ].join(" ");
  }

  /** The op that writes a buffer: that of the step at which its life begins. */
  _opOf(buffer) {
    return this._layerAt(buffer.first)?.op ?? "";
  }

  _layerAt(step) {
    return this._report.layers.find((layer) => layer.step === step);
  }

  _draw(layer, size) {
    const { buffers, arena_bytes: arena } = this._report.memory;
    const last = d3.max(buffers, (buffer) => buffer.last) + 1;
    const x = d3.scaleLinear([0, last], [0, size.width]);
    const y = d3.scaleLinear([0, arena], [size.height, 0]);
    const ticks = d3.range(0, 6).map((part) => (arena * part) / 5);
    drawOffsets(layer, y, ticks, size);
    const every = Math.ceil(last / (size.width / 44));
    const steps = d3.scaleBand(d3.range(last), [0, size.width]);
    bottomAxis(layer, steps, size, "step of the program", (step) => (step % every ? "" : step));
    removeBareTicks(layer);
    const rectangles = layer
      .append("g")
      .selectAll("rect")
      .data(buffers)
      .join("rect")
      .attr("class", (buffer) => `buffer kind-${opKind(this._opOf(buffer))}`)
      .attr("data-first", (buffer) => buffer.first)
      .attr("x", (buffer) => x(buffer.first))
      .attr("width", (buffer) => x(buffer.last + 1) - x(buffer.first))
      .attr("y", (buffer) => y(buffer.offset + buffer.bytes))
      .attr("height", (buffer) => Math.max(1, y(buffer.offset) - y(buffer.offset + buffer.bytes)))
      .attr("aria-label", (buffer) => this._tooltipOf(buffer).join(", "));
    addTooltip(rectangles, (buffer) => this._tooltipOf(buffer));
    makeWalkable(rectangles, (buffer) => this._layerAt(buffer.first) && this._selection.chooseLayer(buffer.first));
    const labelled = buffers.filter(
      (buffer) =>
        x(buffer.last + 1) - x(buffer.first) > LABEL_WIDTH * plainName(buffer.name).length + 10 &&
        y(buffer.offset) - y(buffer.offset + buffer.bytes) > LABEL_HEIGHT,
    );
    layer
      .append("g")
      .selectAll("text")
      .data(labelled)
      .join("text")
      .attr("class", "buffer-label")
      .attr("x", (buffer) => (x(buffer.first) + x(buffer.last + 1)) / 2)
      .attr("y", (buffer) => y(buffer.offset + buffer.bytes / 2) + 4)
      .text((buffer) => plainName(buffer.name));
    layer.append("line").attr("class", "roof").attr("x2", size.width).attr("y1", y(arena)).attr("y2", y(arena));
    layer
      .append("text")
      .attr("class", "roof-label")
      .attr("x", size.width)
      .attr("y", y(arena) - 7)
      .attr("text-anchor", "end")
      .text(`arena ${bytes(arena)}`);
    this._rectangles = rectangles;
    this._select();
  }

  _tooltipOf(buffer) {
    const layer = this._layerAt(buffer.first);
    return [
      plainName(buffer.name),
      `${bytes(buffer.bytes)} at offset ${bytes(buffer.offset)}`,
      buffer.first === buffer.last ? `step ${buffer.first}` : `steps ${buffer.first} to ${buffer.last}`,
      ...(layer ? [`written by ${layer.op}, ${layer.kernel}`] : []),
    ];
  }

  _select() {
    const { step } = this._selection.current;
    this._rectangles?.classed("is-selected", (buffer) => buffer.first === step);
  }
}

/**
 * The axis on the left at even shares of the arena: round numbers of bytes are powers of two, which d3's ticks are not.
 */
function drawOffsets(layer, y, offsets, { width, height }) {
  const group = layer
    .append("g")
    .attr("class", "axis")
    .call(d3.axisLeft(y).tickValues(offsets).tickFormat(bytes).tickSizeOuter(0));
  group.selectAll(".tick").append("line").attr("class", "grid-line").attr("x2", width);
  group
    .append("text")
    .attr("class", "axis-title")
    .attr("transform", "rotate(-90)")
    .attr("x", -height / 2)
    .attr("y", -66)
    .text("offset in the arena");
}
