/**
 * The nodes of a graph as a tree of groups, by the modules that their names tell of. A group of a single node stands
 * for that node, and a group whose only member is a group is drawn as one with it: boxes that would say nothing are
 * left out.
 */
import { plainName } from "./format.js";

/** A group: `path` such as "layer1/0", "" for the whole graph; `children` are groups and leaves in graph order. */
class Group {
  constructor(path, parent) {
    this.id = `group:${path}`;
    this.path = path;
    this.parent = parent;
    this.children = [];
    this.isGroup = true;
  }

  /** "layer1.0" for "layer1/0": a number says nothing without the name before it. */
  get label() {
    const own = this.path.slice(this.parent?.path ? this.parent.path.length + 1 : 0).split("/");
    if (/^\d+$/.test(own[0]) && this.parent?.path) own.unshift(this.parent.path.split("/").at(-1));
    return own.join(".");
  }

  /** Time of all layers inside; null if none is known. */
  get seconds() {
    const known = this.leaves.map((leaf) => leaf.seconds).filter((seconds) => seconds !== null);
    return known.length ? known.reduce((sum, seconds) => sum + seconds, 0) : null;
  }

  /** All nodes inside, at any depth. */
  get leaves() {
    return this.children.flatMap((child) => (child.isGroup ? child.leaves : [child]));
  }
}

/** A node of the graph, or one of its inputs and outputs. */
class Leaf {
  constructor(id, node, title, subtitle, type) {
    this.id = id;
    this.node = node;
    this.title = title;
    this.subtitle = subtitle;
    this.type = type;
    this.seconds = null;
    this.parent = null;
    this.isGroup = false;
  }

  get key() {
    return this.node?.key ?? null;
  }
}

/** Part of an id that leaves and their nodes' keys share. */
export function leafId(key) {
  return `node:${key}`;
}

/**
 * The tree of a graph and its edges between leaves.
 *
 * Nodes of the program's graph have the time of their layers.
 *
 * @returns {{root: Group, leaves: Map<string, Leaf>, groups: Map<string, Group>,
 *   edges: Array<{from: Leaf, to: Leaf, value: {name: string, type: string}}>}}
 */
export function buildTree(report, graphIndex, shortName) {
  const graph = report.graphs[graphIndex];
  const root = new Group("", null);
  const groups = new Map([["", root]]);
  const leaves = new Map();
  const producer = new Map();
  const edges = [];

  const home = homesOfConstants(report, graph);

  const groupAt = (path) => {
    if (!groups.has(path)) {
      const parent = groupAt(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "");
      const made = new Group(path, parent);
      groups.set(path, made);
      parent.children.push(made);
    }
    return groups.get(path);
  };
  const place = (leaf, parent) => {
    leaf.parent = parent;
    parent.children.push(leaf);
    leaves.set(leaf.id, leaf);
  };

  for (const index of graph.inputs) {
    const value = report.values[index];
    const leaf = new Leaf(`input:${value.name}`, null, "input", plainName(value.name), value.type);
    place(leaf, root);
    producer.set(index, leaf);
  }
  for (const index of graph.nodes) {
    const node = report.nodes[index];
    const type = node.outputs.length ? report.values[node.outputs[0]].type : "";
    const leaf = new Leaf(leafId(node.key), node, node.op, shortName(node.name), type);
    if (graphIndex === report.finalGraph) leaf.seconds = layerSeconds(report.layersOf(node.key));
    place(leaf, groupAt(home.get(node) ?? node.group));
    for (const output of node.outputs) producer.set(output, leaf);
    for (const input of new Set(node.inputs)) {
      if (producer.has(input)) edges.push({ from: producer.get(input), to: leaf, value: report.values[input] });
    }
  }
  for (const index of graph.outputs) {
    const value = report.values[index];
    const leaf = new Leaf(`output:${value.name}`, null, "output", plainName(value.name), value.type);
    place(leaf, root);
    if (producer.has(index)) edges.push({ from: producer.get(index), to: leaf, value });
  }
  simplify(root, groups);
  return { root, leaves, groups, edges };
}

function layerSeconds(layers) {
  const known = layers.filter((layer) => layer.seconds !== null);
  return known.length ? known.reduce((sum, layer) => sum + layer.seconds, 0) : null;
}

/**
 * Groups of nodes that compute from constants alone, such as the dequantization of a weight: that of the one node which
 * reads the result. Their own names often tell of no module, and all of them would stand in a row before the network
 * begins.
 *
 * @returns {Map<Object, string>} paths by node
 */
function homesOfConstants(report, graph) {
  const nodes = graph.nodes.map((index) => report.nodes[index]);
  const readers = new Map();
  for (const node of nodes)
    for (const input of new Set(node.inputs)) readers.set(input, [...(readers.get(input) ?? []), node]);
  const computed = new Set(graph.inputs);
  const homes = new Map();
  const fixed = nodes.filter((node) => {
    const isFixed = node.inputs.length > 0 && !node.inputs.some((input) => computed.has(input));
    if (!isFixed) node.outputs.forEach((output) => computed.add(output));
    return isFixed;
  });
  for (const node of fixed.reverse()) {
    const [reader, ...others] = node.outputs.flatMap((output) => readers.get(output) ?? []);
    if (reader && !others.length) homes.set(node, homes.get(reader) ?? reader.group);
  }
  return homes;
}

/** Leave out groups that hold one thing only. */
function simplify(group, groups) {
  group.children = group.children.map((child) => {
    if (!child.isGroup) return child;
    simplify(child, groups);
    if (child.children.length > 1) return child;
    const [only] = child.children;
    only.parent = group;
    groups.delete(child.path);
    return only;
  });
}
