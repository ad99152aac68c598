const NOTHING = { key: null, node: null, step: null, group: null };

/**
 * What the reader has selected, shared by all views: a node by its key and in one of its forms, a layer by its step, or
 * a group of nodes by its path. A view chooses, and is told of every choice, its own included.
 */
export class Selection {
  constructor(report) {
    this.report = report;
    this.current = NOTHING;
    this._listeners = [];
  }

  onChange(listener) {
    this._listeners.push(listener);
  }

  /** A node in the form that it has in one graph; in its last one if that is left out. */
  chooseNode(key, node = null) {
    const last = this.report.lastForm(key);
    const layer = this.report.layersOf(key)[0];
    this._set({ ...NOTHING, key, node: node ?? last, step: layer ? layer.step : null });
  }

  chooseLayer(step) {
    const layer = this.report.layers.find((each) => each.step === step);
    const node = layer.node === null ? null : this.report.nodes[layer.node];
    this._set({ ...NOTHING, key: node && node.key, node, step });
  }

  chooseGroup(path) {
    this._set({ ...NOTHING, group: path });
  }

  clear() {
    this._set(NOTHING);
  }

  get isEmpty() {
    return this.current === NOTHING;
  }

  _set(next) {
    this.current = next;
    for (const listener of this._listeners) listener(next);
  }
}
