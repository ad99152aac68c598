/**
 * Places for everything visible, by dagre's layered layout, group by group from the inside out: an open group is laid
 * out like a graph of its own, and then is a box in the group around it. Many small layouts are quicker than one large
 * one, and what belongs together stands together.
 */
/* global dagre */
import { seconds, shorten } from "./format.js";
import { textWidth } from "./text_width.js";
import { BORDER, visibleScopes } from "./visible_graph.js";

const FAMILY = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const MONO = 'ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

const LEAF_HEIGHT = 44;
const HEADER_HEIGHT = 30;
const LEAF_MIN_WIDTH = 96;
const TEXT_LEFT = 18;
const TEXT_RIGHT = 14;
const TEXT_GAP = 7;
const LONGEST_TEXT = 34;
const PADDING = 14;
const RANK_GAP = 26;
const PORT_WEIGHT = 8;

/**
 * @returns {{width: number, height: number, boxes: Array, leaves: Array, edges: Array}} in pixels; boxes (open groups,
 *   outer ones first) and leaves (nodes and closed groups) have x, y of their upper left corner, width and height;
 *   edges have points.
 */
export function layoutGraph(tree, open) {
  const scopes = visibleScopes(tree, open);
  const inner = layoutScope(scopes.get(""), scopes, knownLayouts(tree));
  const drawing = { width: inner.width, height: inner.height, boxes: [], leaves: [], edges: [] };
  flatten(inner, 0, 0, drawing);
  return drawing;
}

/** Layouts of each tree's groups, so that opening one group does not lay out all others again. */
const layoutsByTree = new WeakMap();

function knownLayouts(tree) {
  if (!layoutsByTree.has(tree)) layoutsByTree.set(tree, new Map());
  return layoutsByTree.get(tree);
}

/** One open group on its own; its layout depends on which groups inside it are open, and on nothing outside. */
function layoutScope(scope, scopes, known) {
  const { path } = scope.group;
  const inside = path === "" ? [...scopes.keys()] : [...scopes.keys()].filter((each) => each.startsWith(`${path}/`));
  const key = [path, ...inside].join("\n");
  if (!known.has(key)) known.set(key, placeMembers(scope, scopes, known));
  return known.get(key);
}

/** Size of a node or of a closed group, and its texts as they are drawn. */
function measure(item) {
  const title = shorten(item.isGroup ? item.label : item.title, LONGEST_TEXT);
  const subtitle = item.isGroup ? "" : shorten(item.subtitle, LONGEST_TEXT);
  const facts = item.isGroup ? summaryOf(item) : shorten(item.type, LONGEST_TEXT);
  const detail = item.seconds === null ? facts : `${facts} · ${seconds(item.seconds)}`;
  const titleWidth = textWidth(title, `600 13px ${FAMILY}`);
  const first = titleWidth + (subtitle ? TEXT_GAP + textWidth(subtitle, `13px ${FAMILY}`) : 0);
  const second = textWidth(detail, `${item.isGroup ? `12px ${FAMILY}` : `11px ${MONO}`}`);
  const width = Math.max(LEAF_MIN_WIDTH, TEXT_LEFT + Math.max(first, second) + TEXT_RIGHT + (item.isGroup ? 20 : 0));
  return { item, title, subtitle, detail, titleWidth, width: Math.ceil(width), height: LEAF_HEIGHT };
}

/** "36 groups, 288 nodes". */
function summaryOf(group) {
  const groups = group.children.filter((child) => child.isGroup).length;
  const nodes = `${group.leaves.length} nodes`;
  return groups ? `${groups} group${groups === 1 ? "" : "s"}, ${nodes}` : nodes;
}

/** Members with places relative to the group's upper left corner. */
function placeMembers(scope, scopes, known) {
  const isRoot = scope.group.parent === null;
  const members = new Map(
    scope.group.children.map((child) => [
      child.id,
      child.isGroup && scopes.has(child.path) ? layoutScope(scopes.get(child.path), scopes, known) : measure(child),
    ]),
  );
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 26, edgesep: 14, ranksep: RANK_GAP });
  for (const [id, member] of members) graph.setNode(id, { width: member.width, height: member.height });
  addPorts(graph, "in", scope.inPorts);
  addPorts(graph, "out", scope.outPorts);
  for (const edge of scope.edges.values()) graph.setEdge(nodeOf(edge.from), nodeOf(edge.to), {}, edge.key);
  dagre.layout(graph);

  const inset = isRoot
    ? { x: PADDING, top: PADDING, bottom: PADDING }
    : { x: PADDING, top: HEADER_HEIGHT + 8, bottom: PADDING };
  const extent = extentOf(graph, members);
  const dx = inset.x - extent.left;
  const dy = inset.top - extent.top;
  const header = isRoot ? 0 : textWidth(scope.group.label, `600 13px ${FAMILY}`) + 2 * PADDING + 60;
  const width = Math.max(header, extent.right - extent.left + 2 * inset.x);
  const height = extent.bottom - extent.top + inset.top + inset.bottom;
  const center = (width - (extent.right - extent.left + 2 * inset.x)) / 2;

  const placed = { item: scope.group, width, height, isOpen: true, members: [], edges: [], ports: new Map() };
  for (const [id, member] of members) {
    const { x, y } = graph.node(id);
    placed.members.push({ member, x: x + dx + center - member.width / 2, y: y + dy - member.height / 2 });
  }
  for (const side of ["in", "out"]) {
    for (const port of (side === "in" ? scope.inPorts : scope.outPorts).keys()) {
      placed.ports.set(`${side}:${port}`, graph.node(portNode(`${side}:${port}`)).x + dx + center);
    }
  }
  const corners = new Map(placed.members.map((each) => [each.member.item.id, each]));
  for (const edge of scope.edges.values()) {
    const points = graph
      .edge(nodeOf(edge.from), nodeOf(edge.to), edge.key)
      .points.map(({ x, y }) => ({ x: x + dx + center, y: y + dy }));
    placed.edges.push({ edge, points: tieEnds(points, edge, corners, placed) });
  }
  return placed;
}

function portNode(name) {
  return `port ${name}`;
}

function nodeOf({ member, port }) {
  return member === BORDER ? portNode(port) : member.id;
}

/**
 * Ports are points. Where there are several they are held together at the border by a heavy edge from a hidden node.
 */
function addPorts(graph, side, ports) {
  for (const port of ports.keys()) graph.setNode(portNode(`${side}:${port}`), { width: 1, height: 1 });
  if (ports.size < 2) return;
  const anchor = portNode(`all ${side}`);
  graph.setNode(anchor, { width: 1, height: 1 });
  for (const port of ports.keys()) {
    const name = portNode(`${side}:${port}`);
    const [from, to] = side === "in" ? [anchor, name] : [name, anchor];
    graph.setEdge(from, to, { weight: PORT_WEIGHT }, "anchor");
  }
}

/**
 * The rectangle around all members and the bends of all edges; ports and what holds them need no room above or below.
 */
function extentOf(graph, members) {
  const extent = { left: Infinity, right: -Infinity, top: Infinity, bottom: -Infinity };
  for (const [id, member] of members) {
    const { x, y } = graph.node(id);
    extent.left = Math.min(extent.left, x - member.width / 2);
    extent.right = Math.max(extent.right, x + member.width / 2);
    extent.top = Math.min(extent.top, y - member.height / 2);
    extent.bottom = Math.max(extent.bottom, y + member.height / 2);
  }
  for (const edge of graph.edges()) {
    if (edge.name === "anchor") continue;
    for (const { x } of graph.edge(edge).points) {
      extent.left = Math.min(extent.left, x);
      extent.right = Math.max(extent.right, x);
    }
  }
  return extent;
}

/**
 * Ends of an edge at ports, which are not where dagre has them: at the port's place of an open member, or at the border
 * of the group itself. An edge without bends stays one.
 */
function tieEnds(points, { from, to }, corners, placed) {
  const tied = [...points];
  if (from.member === BORDER) {
    const x = placed.ports.get(from.port);
    tied.splice(0, 1, { x, y: 0 }, { x, y: HEADER_HEIGHT });
  } else if (from.port !== null) {
    const { member, x, y } = corners.get(from.member.id);
    tied[0] = { x: x + member.ports.get(`out:${from.port}`), y: y + member.height };
  }
  if (to.member === BORDER) {
    tied[tied.length - 1] = { x: placed.ports.get(to.port), y: placed.height };
  } else if (to.port !== null) {
    const { member, x, y } = corners.get(to.member.id);
    tied[tied.length - 1] = { x: x + member.ports.get(`in:${to.port}`), y };
  }
  if (points.length === 3 && from.member !== BORDER) {
    tied[1] = { x: (tied[0].x + tied[2].x) / 2, y: (tied[0].y + tied[2].y) / 2 };
  }
  return tied;
}

/** Places relative to the whole drawing. */
function flatten(placed, left, top, drawing) {
  for (const { edge, points } of placed.edges) {
    drawing.edges.push({
      id: `${placed.item.path}|${edge.key}`,
      ends: [edge.from.member.id, edge.to.member.id],
      endsAtBorder: edge.to.member === BORDER || edge.to.port !== null,
      values: [...edge.values.values()],
      points: points.map(({ x, y }) => ({ x: x + left, y: y + top })),
    });
  }
  for (const { member, x, y } of placed.members) {
    const place = { ...member, x: x + left, y: y + top };
    if (!member.isOpen) {
      drawing.leaves.push(place);
      continue;
    }
    drawing.boxes.push({ item: member.item, x: place.x, y: place.y, width: member.width, height: member.height });
    flatten(member, place.x, place.y, drawing);
  }
}
