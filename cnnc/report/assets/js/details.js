/** The panel beside the views: everything known of the selected node, layer or group. */
import { breakable, element, factList } from "./dom.js";
import { bytes, count, giga, percent, plainName, plural, seconds, shortName, tiny } from "./format.js";
import { intensity, flopRate, movedBytes, roofShare } from "./report_data.js";

export class Details {
  /**
   * @param {{showStage: function(number, string), showGraph: function(), showLayer: function(number)}} links to the graph
   *   after a stage and a node in it, to the selected node in the graph, and to a layer in the table
   */
  constructor(root, report, selection, links) {
    this._root = root;
    this._report = report;
    this._selection = selection;
    this._links = links;
    selection.onChange(() => this._draw());
    this._draw();
  }

  _draw() {
    const { node, step, group } = this._selection.current;
    document.body.classList.toggle("has-details", !this._selection.isEmpty);
    if (this._selection.isEmpty) {
      this._root.replaceChildren();
      return;
    }
    const sections = node !== null ? this._nodeSections(node) : step !== null ? this._layerSections(this._layer(step)) : this._groupSections(group);
    this._root.replaceChildren(
      element("button", { type: "button", class: "close-button", "aria-label": "Close details", onclick: () => this._selection.clear() }, "×"),
      ...sections.filter(Boolean));
    this._root.scrollTop = 0;
  }

  _layer(step) {
    return this._report.layers.find((layer) => layer.step === step);
  }

  _nodeSections(node) {
    const inProgram = this._inProgram(node);
    const layers = inProgram === node ? this._report.layersOf(node.key) : [];
    return [
      heading(node.op, node.name),
      this._linkRow(layers[0]),
      inProgram && inProgram !== node ? this._becomes(inProgram) : null,
      ...layers.flatMap((layer) => this._layerFacts(layer)),
      section("Node", factList([
        ["name", plainName(node.name)],
        ["attributes", attributeList(node.attributes)],
        ["inputs", this._valueList(node.inputs)],
        ["outputs", this._valueList(node.outputs)],
        ["computes", node.origins.length > 1 ? element("ul", {}, ...node.origins.map((origin) => element("li", {}, origin))) : node.origins[0]],
      ])),
      this._history(node),
      this._refusedRewrites(node),
    ];
  }

  _layerSections(layer) {
    return [heading(layer.op, layer.name), ...this._layerFacts(layer)];
  }

  _linkRow(layer) {
    const button = (text, act) => element("button", { type: "button", onclick: act }, text);
    return element("div", { class: "button-group link-row" },
      button("In the graph", () => this._links.showGraph()),
      layer ? button("In the table", () => this._links.showLayer(layer.step)) : null);
  }

  _layerFacts(layer) {
    return [
      section(`Step ${layer.step}`, factList([
        ["kernel", layer.kernel],
        ["time", layer.seconds === null ? null : seconds(layer.seconds)],
        ["share of all", layer.seconds === null ? null : percent(layer.seconds / this._report.summary.seconds)],
        ["predicted", layer.predicted_seconds === null ? null : seconds(layer.predicted_seconds)],
        ["of the roof", roofShare(layer) === null ? null : `${percent(roofShare(layer))}, bound by ${layer.bound}`],
        ["GFLOP/s", flopRate(layer) === null ? null : giga(flopRate(layer))],
        ["MACs", layer.macs ? count(layer.macs) : null],
        ["FLOP a byte", intensity(layer) === null ? null : intensity(layer).toFixed(1)],
        ["moves", movedBytes(layer) === null ? null :
          `${bytes(layer.read_bytes)} read, ${bytes(layer.written_bytes)} written, ${bytes(layer.weight_bytes ?? 0)} weights`],
        ["variants", layer.variants.length ? element("ul", { class: "code-list" }, ...layer.variants.map((name) => element("li", {}, breakable(name)))) : null],
      ])),
      rivalTable(layer.rivals),
      numericSection(layer.numeric),
      integerSection(layer.integer),
      sparsitySection(layer.sparsity),
      this._refusedKernels(layer),
    ];
  }

  _groupSections(path) {
    const isInside = (group) => group === path || group.startsWith(`${path}/`);
    const layers = this._report.layers.filter((layer) => isInside(layer.group));
    const total = (valueOf) => layers.reduce((sum, layer) => sum + (valueOf(layer) ?? 0), 0);
    const measured = layers.some((layer) => layer.seconds !== null);
    const time = total((layer) => layer.seconds);
    const first = this._report.stages[0];
    const before = first ? this._report.graphs[first.graph].nodes.filter((index) => isInside(this._report.nodes[index].group)).length : null;
    return [
      heading("group", path.replaceAll("/", " / ")),
      section("Layers inside", factList([
        ["imported", before === null ? null : plural(before, "node")],
        ["program", plural(layers.length, "step")],
        ["time", measured ? `${seconds(time)}, ${percent(time / this._report.summary.seconds)} of all` : null],
        ["MACs", count(total((layer) => layer.macs))],
        ["weights", bytes(total((layer) => layer.weight_bytes))],
      ])),
      layers.length ? section("Steps", element("ul", { class: "link-list" }, ...layers.map((layer) => element("li", {},
        element("button", { type: "button", onclick: () => this._selection.chooseLayer(layer.step) },
          element("strong", {}, layer.op), ` ${plainName(layer.name)}`),
        element("span", { class: "muted" }, layer.seconds === null ? "" : seconds(layer.seconds)))))) : null,
    ];
  }

  /** The node of the program's graph that computes what a node of any graph computes; undefined if there is none. */
  _inProgram(node) {
    const { finalGraph } = this._report;
    return finalGraph === null ? this._report.lastForm(node.key) : this._report.counterpart(finalGraph, node.key);
  }

  _becomes(node) {
    return element("p", { class: "note" }, "In the program: ",
      element("button", { type: "button", class: "link", onclick: () => this._selection.chooseNode(node.key, node) },
        `${node.op} ${shortName(node.name)}`));
  }

  _valueList(indices) {
    if (!indices.length) return null;
    return element("ul", { class: "value-list" }, ...indices.map((index) => {
      if (index === null) return element("li", { class: "muted" }, "left out");
      const { name, type, is_constant: isConstant } = this._report.values[index];
      return element("li", {}, plainName(name), isConstant ? element("span", { class: "tag" }, "constant") : null, element("code", {}, type));
    }));
  }

  _history(node) {
    const events = this._report.historyOf(node);
    if (!events.length) return null;
    return section("What passes did", element("ul", { class: "link-list" }, ...events.map(({ stage, what }) => element("li", {},
      element("button", { type: "button", onclick: () => this._links.showStage(stage, node.key) }, this._report.stages[stage].name),
      element("span", { class: `chip is-${what}` }, what)))));
  }

  _refusedRewrites(node) {
    const refusals = this._report.refusalsOf(node);
    if (!refusals.length) return null;
    return section("Rewrites that did not fit", factList(refusals.map(({ rule, reason }) => [rule, reason])));
  }

  _refusedKernels(layer) {
    const refused = layer.refused.map((index) => this._report.refusedKernels[index]);
    if (!refused.length) return null;
    return element("details", { class: "details-section" },
      element("summary", {}, `${plural(refused.length, "kernel")} not taken`),
      factList(refused.map(({ kernel, reason }) => [kernel, reason])));
  }
}

function heading(op, name) {
  return element("header", { class: "details-heading" }, element("h2", {}, op), element("p", {}, plainName(name)));
}

function section(title, content) {
  return content.children.length ? element("section", { class: "details-section" }, element("h3", {}, title), content) : null;
}

/** "strides=(2, 2), pads=(1, 1)" a line each; commas within brackets and quotes do not divide. */
function attributeList(text) {
  if (!text) return null;
  const parts = text.match(/(?:[^,([{"]|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|"[^"]*"|[([{"])+/g) ?? [text];
  return element("ul", { class: "code-list" }, ...parts.map((part) => element("li", {}, part.trim())));
}

function rivalTable(rivals) {
  if (!rivals.length) return null;
  const isMeasured = rivals.some((rival) => rival.measured_seconds !== null);
  const best = Math.min(...rivals.map((rival) => rival.predicted_seconds));
  return element("section", { class: "details-section" },
    element("h3", {}, "Kernels that could run it"),
    element("table", { class: "small-table" },
      element("thead", {}, element("tr", {}, element("th", {}, "kernel and tiling"), element("th", {}, "predicted"), isMeasured ? element("th", {}, "measured") : null)),
      element("tbody", {}, ...rivals.map((rival) => element("tr", { class: rival.is_chosen ? "is-taken" : null },
        element("td", {},
          element("div", {}, breakable(rival.kernel), rival.is_chosen ? element("span", { class: "tag" }, "taken") : null),
          element("code", {}, rival.tiling)),
        element("td", { title: `${(rival.predicted_seconds / best).toFixed(2)} times the best` }, seconds(rival.predicted_seconds)),
        isMeasured ? element("td", {}, seconds(rival.measured_seconds)) : null)))));
}

function numericSection(numeric) {
  if (!numeric) return null;
  return section("Against onnxruntime", factList([
    ["tensor", plainName(numeric.tensor)],
    ["largest error", numeric.max_error === null ? numeric.reason || "not compared" : `${tiny(numeric.max_error)} standard deviations`],
    ["mean error", numeric.mean_error === null ? null : `${tiny(numeric.mean_error)} standard deviations`],
    ["largest difference", numeric.max_difference === null ? null : tiny(numeric.max_difference)],
  ]));
}

function integerSection(integer) {
  if (!integer) return null;
  const quantization = (scale, zero) => (scale === null ? null : `scale ${scale.toPrecision(3)}, zero point ${zero}`);
  return section("8-bit integers", factList([
    ["input", quantization(integer.input_scale, integer.input_zero_point)],
    ["output", quantization(integer.output_scale, integer.output_zero_point)],
    ["weights", integer.weight_bits === null ? null : `${integer.weight_bits} bits`],
    ["weight scales", integer.weight_scales === null ? null : integer.weight_scales.map((scale) => scale.toPrecision(3)).join(" to ")],
    ["SQNR", integer.sqnr_db === null ? null : `${integer.sqnr_db.toFixed(1)} dB`],
  ]));
}

function sparsitySection(sparsity) {
  if (!sparsity || sparsity.pattern === "dense") return null;
  return section("Zeros in the weight", factList([
    ["density", percent(sparsity.density)],
    ["pattern", sparsity.pattern],
    ["pays below", sparsity.break_even === null ? null : percent(sparsity.break_even)],
    ["dense kernel", sparsity.dense_kernel],
  ]));
}
