/** A laid out graph as SVG: boxes of open groups, edges, then nodes and closed groups. */
/* global d3 */
import { plural } from "./format.js";
import { opKind } from "./op_kinds.js";

const SIGNS = { added: "+", removed: "−", changed: "~" };

const curve = d3
  .line(
    (point) => point.x,
    (point) => point.y,
  )
  .curve(d3.curveBasis);

/**
 * Draw into `layer`, a d3 selection of an SVG group, replacing what is there.
 *
 * @param drawing what `layoutGraph` returned
 * @param {{marks: Map<string, string>, totalSeconds: ?number}} facts what happened to nodes, by key: "added", "removed"
 *   or "changed"; time of all layers, of which those of the program's graph show their share
 * @param {{onNode: function, onGroup: function, onToggle: function}} handlers of clicks
 */
export function drawGraph(layer, drawing, { marks, totalSeconds }, handlers) {
  layer.selectAll("*").remove();
  drawBoxes(layer.append("g").attr("class", "boxes"), drawing.boxes, handlers);
  drawEdges(layer.append("g").attr("class", "edges"), drawing.edges);
  drawLeaves(layer.append("g").attr("class", "leaves"), drawing.leaves, marks, handlers);
  drawShares(layer.selectAll(".leaf"), totalSeconds);
}

function drawBoxes(layer, boxes, handlers) {
  const box = layer
    .selectAll("g")
    .data(boxes)
    .join("g")
    .attr("class", "group-box")
    .attr("data-id", (each) => each.item.id)
    .attr("data-group", (each) => each.item.path)
    .attr("transform", (each) => `translate(${each.x},${each.y})`)
    .attr("role", "button")
    .attr("tabindex", -1)
    .attr("aria-expanded", "true")
    .attr("aria-label", (each) => `${each.item.label}, open group of ${plural(each.item.leaves.length, "node")}`)
    .on("click", (event, each) =>
      event.target.closest(".group-toggle") ? handlers.onToggle(each.item) : handlers.onGroup(each.item),
    )
    .on("dblclick", (event, each) => handlers.onToggle(each.item));
  box
    .append("rect")
    .attr("class", "group-frame")
    .attr("width", (each) => each.width)
    .attr("height", (each) => each.height)
    .attr("rx", 10);
  appendToggle(box, "−", 12, 7);
  box
    .append("text")
    .attr("class", "group-label")
    .attr("x", 36)
    .attr("y", 20)
    .text((each) => each.item.label);
}

function drawEdges(layer, edges) {
  layer
    .selectAll("path")
    .data(edges)
    .join("path")
    .attr("class", "edge")
    .attr("data-ends", (edge) => edge.ends.join(" "))
    .attr("marker-end", (edge) => (edge.endsAtBorder ? null : "url(#arrow-head)"))
    .attr("d", (edge) => curve(edge.points))
    .append("title")
    .text((edge) => edge.values.map((value) => `${value.name}: ${value.type}`).join("\n"));
}

function drawLeaves(layer, leaves, marks, handlers) {
  const leaf = layer
    .selectAll("g")
    .data(leaves)
    .join("g")
    .attr("class", (each) => leafClass(each.item, marks))
    .attr("data-id", (each) => each.item.id)
    .attr("data-key", (each) => each.item.key)
    .attr("data-group", (each) => (each.item.isGroup ? each.item.path : null))
    .attr("transform", (each) => `translate(${each.x},${each.y})`)
    .attr("role", "button")
    .attr("tabindex", -1)
    .attr("aria-expanded", (each) => (each.item.isGroup ? "false" : null))
    .attr("aria-label", (each) => leafLabel(each.item, marks))
    .on("click", (event, each) => onLeafClick(event, each.item, handlers))
    .on("dblclick", (event, each) => each.item.isGroup && handlers.onToggle(each.item));
  const group = leaf.filter((each) => each.item.isGroup);
  group
    .append("rect")
    .attr("class", "leaf-stack")
    .attr("x", 4)
    .attr("y", 4)
    .attr("width", (each) => each.width)
    .attr("height", (each) => each.height)
    .attr("rx", 7);
  leaf
    .append("rect")
    .attr("class", "leaf-frame")
    .attr("width", (each) => each.width)
    .attr("height", (each) => each.height)
    .attr("rx", 7);
  leaf
    .filter((each) => !each.item.isGroup)
    .append("rect")
    .attr("class", "leaf-kind")
    .attr("x", 7)
    .attr("y", 9)
    .attr("width", 4)
    .attr("height", (each) => each.height - 18)
    .attr("rx", 2);
  const left = (each) => (each.item.isGroup ? 36 : 18);
  leaf
    .append("text")
    .attr("class", "leaf-title")
    .attr("x", left)
    .attr("y", 19)
    .text((each) => each.title);
  leaf
    .append("text")
    .attr("class", "leaf-subtitle")
    .attr("x", (each) => left(each) + each.titleWidth + 7)
    .attr("y", 19)
    .text((each) => each.subtitle);
  leaf
    .append("text")
    .attr("class", "leaf-detail")
    .attr("x", left)
    .attr("y", 35)
    .text((each) => each.detail);
  appendToggle(group, "+", 12, 13);
  group.each(function (each) {
    appendCounts(d3.select(this), each, marks);
  });
  const marked = leaf.filter((each) => marks.has(each.item.key));
  marked
    .append("circle")
    .attr("class", "mark-disc")
    .attr("cx", (each) => each.width - 2)
    .attr("cy", 2)
    .attr("r", 8.5);
  marked
    .append("text")
    .attr("class", "mark-sign")
    .attr("x", (each) => each.width - 2)
    .attr("y", 6)
    .text((each) => SIGNS[marks.get(each.item.key)]);
}

/** A line at the bottom of a node: its share of the time, the whole width being all of it. */
function drawShares(leaf, totalSeconds) {
  leaf
    .filter((each) => each.item.seconds !== null)
    .append("rect")
    .attr("class", "leaf-share")
    .attr("x", 6)
    .attr("y", (each) => each.height - 5)
    .attr("height", 3)
    .attr("rx", 1.5)
    .attr("width", (each) => Math.max(1.5, ((each.width - 12) * each.item.seconds) / totalSeconds));
}

function leafClass(item, marks) {
  if (item.isGroup) return "leaf group-leaf";
  const mark = marks.get(item.key);
  return `leaf kind-${item.node ? opKind(item.node.op) : "port"}${mark ? ` is-${mark}` : ""}`;
}

function leafLabel(item, marks) {
  if (item.isGroup) return `${item.label}, closed group of ${plural(item.leaves.length, "node")}`;
  const mark = marks.get(item.key);
  return `${item.title} ${item.subtitle}, ${item.type}${mark ? `, ${mark}` : ""}`;
}

function onLeafClick(event, item, handlers) {
  if (!item.isGroup) handlers.onNode(item);
  else if (event.target.closest(".group-toggle")) handlers.onToggle(item);
  else handlers.onGroup(item);
}

/** The small square that opens or closes a group. */
function appendToggle(group, sign, x, y) {
  const toggle = group.append("g").attr("class", "group-toggle").attr("transform", `translate(${x},${y})`);
  toggle.append("rect").attr("width", 17).attr("height", 17).attr("rx", 4);
  toggle.append("text").attr("x", 8.5).attr("y", 13).text(sign);
}

/** On a closed group: how many nodes inside were added, removed and changed. */
function appendCounts(group, { item, width }, marks) {
  const counts = new Map();
  for (const leaf of item.leaves) {
    const mark = marks.get(leaf.key);
    if (mark) counts.set(mark, (counts.get(mark) ?? 0) + 1);
  }
  let right = width + 4;
  for (const [mark, number] of [...counts].reverse()) {
    const text = `${SIGNS[mark]}${number}`;
    const size = 12 + 7 * text.length;
    right -= size;
    const badge = group
      .append("g")
      .attr("class", `count-badge is-${mark}`)
      .attr("transform", `translate(${right},-13)`);
    badge
      .append("rect")
      .attr("width", size - 3)
      .attr("height", 18)
      .attr("rx", 9);
    badge
      .append("text")
      .attr("x", (size - 3) / 2)
      .attr("y", 13)
      .text(text);
  }
}
