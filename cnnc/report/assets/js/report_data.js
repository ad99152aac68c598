/**
 * The report's facts, as `cnnc/report/facts.py` describes them, with the look-ups that views need.
 *
 * A node's *key* is the same in every graph in which the node occurs, so that it links the graph at each pass with the
 * layers of the program.
 */

class Report {
  constructor(facts) {
    this.model = facts.model;
    this.machine = facts.machine;
    this.summary = facts.summary;
    this.values = facts.values;
    this.nodes = facts.nodes;
    this.graphs = facts.graphs;
    this.stages = facts.stages;
    this.refusedRewrites = facts.refused_rewrites;
    this.refusedKernels = facts.refused_kernels;
    this.layers = facts.layers;
    this.memory = facts.memory;
    this._layersByKey = groupBy(this.layers, (layer) => this.layerKey(layer));
    this._refusedByNode = groupBy(this.refusedRewrites, (refusal) => refusal.node);
  }

  /** Index of the graph that the program was made from; null if no graph is known. */
  get finalGraph() {
    return this.stages.length ? this.stages.at(-1).graph : null;
  }

  /** Key of the node that a layer computes; null for a copy to an output. */
  layerKey(layer) {
    return layer.node === null ? null : this.nodes[layer.node].key;
  }

  /** Layers that compute the node of this key. */
  layersOf(key) {
    return this._layersByKey.get(key) ?? [];
  }

  /** Rewrites that nearly fitted a node; what passes refused is written down under the node's name. */
  refusalsOf(node) {
    return [...new Set([...(this._refusedByNode.get(node.name) ?? []), ...(this._refusedByNode.get(node.key) ?? [])])];
  }

  /** The last form of the node of this key; null if no graph and no layer has it. */
  lastForm(key) {
    const last = this.stages.findLast((stage) => this.nodeIn(stage.graph, key));
    if (last) return this.nodeIn(last.graph, key);
    const layer = this.layersOf(key)[0];
    return layer ? this.nodes[layer.node] : null;
  }

  /** The node of this key in a graph, or undefined. */
  nodeIn(graph, key) {
    this._byKey ??= new Map();
    if (!this._byKey.has(graph)) {
      this._byKey.set(
        graph,
        new Map(this.graphs[graph].nodes.map((index) => [this.nodes[index].key, this.nodes[index]])),
      );
    }
    return this._byKey.get(graph).get(key);
  }

  /**
   * What passes did to a node, and to those of which it was made: [{stage, what}] with what = "added", "changed" or
   * "removed". They are known by their origins; a node that has none, such as a conversion of a layout, by its key.
   */
  historyOf(node) {
    const origins = new Set(node.origins);
    const isKin = (index) =>
      this.nodes[index].key === node.key || this.nodes[index].origins.some((origin) => origins.has(origin));
    const isSame = (index) => this.nodes[index].key === node.key;
    const events = [];
    this.stages.forEach((stage, index) => {
      if (stage.removed.some(isSame)) events.push({ stage: index, what: "removed" });
      else if (stage.added.some(isSame)) events.push({ stage: index, what: "added" });
      else if (stage.changed.some(([, after]) => isKin(after)) || stage.added.some(isKin))
        events.push({ stage: index, what: "changed" });
    });
    return events;
  }

  /** The node of a graph that is the node of this key, or computes what it computed; undefined if there is none. */
  counterpart(graph, key) {
    const same = this.nodeIn(graph, key);
    if (same) return same;
    const origin = this.lastForm(key)?.origins[0];
    if (origin === undefined) return undefined;
    const index = this.graphs[graph].nodes.find((each) => this.nodes[each].origins.includes(origin));
    return index === undefined ? undefined : this.nodes[index];
  }
}

/** The report in this page. */
export function readReport() {
  return new Report(JSON.parse(document.getElementById("report-data").textContent));
}

/** Bytes that a layer moves at least, weights included; null where that is not known. */
export function movedBytes(layer) {
  if (layer.read_bytes === null || layer.written_bytes === null) return null;
  return layer.read_bytes + layer.written_bytes + (layer.weight_bytes ?? 0);
}

/** Floating-point operations a second; null without a time or products. */
export function flopRate(layer) {
  return layer.seconds && layer.macs ? (2 * layer.macs) / layer.seconds : null;
}

/** Floating-point operations a byte moved; null where one is not known. */
export function intensity(layer) {
  const moved = movedBytes(layer);
  return layer.macs && moved ? (2 * layer.macs) / moved : null;
}

/** Share of the rate that the machine allows for this layer, 0 to 1. */
export function roofShare(layer) {
  return layer.seconds && layer.roof_seconds ? layer.roof_seconds / layer.seconds : null;
}

function groupBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}
