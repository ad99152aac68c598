/** The panel beside the views: everything known of the selected node, layer or group. */
import { detailsSection, element, factList, link, list } from "./dom.js";
import { bytes, count, percent, plainName, plural, seconds, shortName } from "./format.js";
import { layerSections } from "./layer_details.js";

export class Details {
  /**
   * @param {{showStage: function(number, string), showGraph: function(), showLayer: function(number)}} links to the
   *   graph after a stage and a node in it, to the selected node in the graph, and to a layer in the table
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
    document.body.classList.toggle("has-details", !this._selection.isEmpty);
    const closing = { type: "button", class: "close-button", "aria-label": "Close details" };
    const close = element("button", { ...closing, onclick: () => this._selection.clear() }, "×");
    this._root.replaceChildren(...(this._selection.isEmpty ? [] : [close, ...this._sections().filter(Boolean)]));
    this._root.scrollTop = 0;
  }

  _sections() {
    const { node, step, group } = this._selection.current;
    if (node !== null) return this._nodeSections(node);
    if (group !== null) return this._groupSections(group);
    const layer = this._report.layers.find((each) => each.step === step);
    return [heading(layer.op, layer.name), ...layerSections(this._report, layer)];
  }

  _nodeSections(node) {
    const inProgram = this._inProgram(node);
    const layers = inProgram === node ? this._report.layersOf(node.key) : [];
    const history = this._report.historyOf(node);
    const refusals = this._report.refusalsOf(node);
    return [
      heading(node.op, node.name),
      this._linkRow(layers[0]),
      inProgram && inProgram !== node ? this._becomes(inProgram) : null,
      ...layers.flatMap((layer) => layerSections(this._report, layer)),
      detailsSection("Node", factList(this._nodeFacts(node))),
      history.length ? detailsSection("What passes did", this._historyList(node, history)) : null,
      detailsSection("Rewrites that did not fit", factList(refusals.map(({ rule, reason }) => [rule, reason]))),
    ];
  }

  /** The node of the program's graph that computes what a node of any graph computes; undefined if there is none. */
  _inProgram(node) {
    const { finalGraph } = this._report;
    return finalGraph === null ? this._report.lastForm(node.key) : this._report.counterpart(finalGraph, node.key);
  }

  _becomes(node) {
    const text = `${node.op} ${shortName(node.name)}`;
    return element(
      "p",
      { class: "note" },
      "In the program: ",
      link(text, () => this._selection.chooseNode(node.key, node)),
    );
  }

  _linkRow(layer) {
    const button = (text, act) => element("button", { type: "button", onclick: act }, text);
    return element(
      "div",
      { class: "button-group link-row" },
      button("In the graph", () => this._links.showGraph()),
      layer ? button("In the table", () => this._links.showLayer(layer.step)) : null,
    );
  }

  _nodeFacts(node) {
    return [
      ["name", plainName(node.name)],
      ["attributes", attributeList(node.attributes)],
      ["inputs", this._valueList(node.inputs)],
      ["outputs", this._valueList(node.outputs)],
      ["computes", list("origin-list", node.origins)],
    ];
  }

  _valueList(indices) {
    if (!indices.length) return null;
    const items = indices.map((index) => {
      if (index === null) return element("span", { class: "muted" }, "left out");
      const { name, type, is_constant: isConstant } = this._report.values[index];
      const tag = isConstant ? element("span", { class: "tag" }, "constant") : null;
      return [plainName(name), tag, element("code", {}, type)];
    });
    return list("value-list", items);
  }

  _historyList(node, history) {
    const items = history.map(({ stage, what }) => [
      link(this._report.stages[stage].name, () => this._links.showStage(stage, node.key)),
      element("span", { class: `chip is-${what}` }, what),
    ]);
    return list("link-list", items);
  }

  _groupSections(path) {
    const isInside = (group) => group === path || group.startsWith(`${path}/`);
    const layers = this._report.layers.filter((layer) => isInside(layer.group));
    const total = (valueOf) => layers.reduce((sum, layer) => sum + (valueOf(layer) ?? 0), 0);
    const time = layers.some((layer) => layer.seconds !== null) ? total((layer) => layer.seconds) : null;
    const imported = this._report.graphs[this._report.stages[0].graph].nodes;
    const inside = imported.filter((index) => isInside(this._report.nodes[index].group));
    const steps = layers.map((layer) => [
      link([element("strong", {}, layer.op), ` ${plainName(layer.name)}`], () =>
        this._selection.chooseLayer(layer.step),
      ),
      element("span", { class: "muted" }, layer.seconds === null ? "" : seconds(layer.seconds)),
    ]);
    return [
      heading("group", path.replaceAll("/", " / ")),
      detailsSection(
        "Layers inside",
        factList([
          ["imported", plural(inside.length, "node")],
          ["program", plural(layers.length, "step")],
          ["time", time === null ? null : `${seconds(time)}, ${percent(time / this._report.summary.seconds)} of all`],
          ["MACs", count(total((layer) => layer.macs))],
          ["weights", bytes(total((layer) => layer.weight_bytes))],
        ]),
      ),
      detailsSection("Steps", list("link-list", steps)),
    ];
  }
}

function heading(op, name) {
  return element("header", { class: "details-heading" }, element("h2", {}, op), element("p", {}, plainName(name)));
}

/** "strides=(2, 2), pads=(1, 1)" a line each; commas within brackets and quotes do not divide. */
function attributeList(text) {
  if (!text) return null;
  const parts = text.match(/(?:[^,([{"]|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|"[^"]*"|[([{"])+/g) ?? [text];
  return list(
    "code-list",
    parts.map((part) => part.trim()),
  );
}
