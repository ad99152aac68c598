/**
 * What the reader has selected, shared by all views: a node by its key, a layer by its step, or a group of nodes by its
 * path. A view calls `choose` and is told of every choice, its own included.
 */
export class Selection {
  constructor(report) {
    this.report = report;
    this.current = { key: null, step: null, group: null };
    this._listeners = [];
  }

  onChange(listener) {
    this._listeners.push(listener);
  }

  chooseNode(key) {
    const layer = this.report.layersOf(key)[0];
    this._set({ key, step: layer ? layer.step : null, group: null });
  }

  chooseLayer(step) {
    const layer = this.report.layers.find((each) => each.step === step);
    this._set({ key: this.report.layerKey(layer), step, group: null });
  }

  chooseGroup(path) {
    this._set({ key: null, step: null, group: path });
  }

  clear() {
    this._set({ key: null, step: null, group: null });
  }

  get isEmpty() {
    return this.current.key === null && this.current.step === null && this.current.group === null;
  }

  _set(next) {
    this.current = next;
    for (const listener of this._listeners) listener(next);
  }
}
