/** The part "Graph": the slider over the passes, and the graph before and after the chosen one, side by side. */
/* global d3 */
import { choiceButtons, element, emptyState } from "./dom.js";
import { plural, shortName } from "./format.js";
import { GraphPane } from "./graph_pane.js";
import { GraphSearch } from "./graph_search.js";
import { buildTree, leafId } from "./group_tree.js";
import { PassSlider } from "./pass_slider.js";
import { positionsOf, WHOLE } from "./stage_changes.js";

/** At first the largest groups are open until there are at least so many boxes, unless there would be too many. */
const FEWEST_BOXES = 10;
const MOST_BOXES = 45;

export class GraphView {
  constructor(container, report, selection) {
    this._report = report;
    this._selection = selection;
    this._trees = new Map();
    this._open = new Set();
    const positions = positionsOf(report);
    if (!positions.length) {
      container.append(emptyState("The passes are not shown.", report.summary.stages_reason));
      return;
    }
    const handlers = {
      onNode: (leaf) => (leaf.node ? selection.chooseNode(leaf.node.key, leaf.node) : selection.clear()),
      onGroup: (group) => selection.chooseGroup(group.path),
      onToggle: (group) => this._toggle(group),
    };
    this._panes = { before: new GraphPane("before", handlers), after: new GraphPane("after", handlers) };
    this._search = new GraphSearch(
      () => this._visibleNodes(),
      (node) => this._markOf(node),
      { found: (nodes) => this._markFound(nodes), chosen: (node) => this._goTo(node.key, node) },
    );
    this._slider = new PassSlider(report, positions, (position) => this._show(position));
    this._stage = element(
      "div",
      { class: "graph-stage", "data-panes": "both" },
      this._panes.before.root,
      this._panes.after.root,
    );
    if (report.summary.stages_reason)
      container.append(element("p", { class: "note" }, `The passes are not shown: ${report.summary.stages_reason}`));
    container.append(this._slider.root, this._toolbar(), this._stage);
    document.addEventListener("keydown", (event) => container.hidden || this._onKey(event));
    selection.onChange(() => this._select());
    this._openFirst();
    this._slider.start();
    this._showStart();
    this._select();
  }

  /** Show the graph after a stage, and the node of this key in it. */
  showStage(stage, key = null) {
    this._slider.goTo(stage);
    if (key !== null) this._goTo(key);
  }

  /** Open the groups around the selected node and bring it into the middle. */
  revealSelected() {
    const { key, node } = this._selection.current;
    if (this._slider && key !== null) this._goTo(key, node);
  }

  _toolbar() {
    const button = (text, label, act) =>
      element("button", { type: "button", title: label, "aria-label": label, onclick: act }, text);
    return element(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": "Graph" },
      this._search.root,
      choiceButtons(
        "Which graphs to show",
        [
          ["before", "Before"],
          ["both", "Both"],
          ["after", "After"],
        ],
        "both",
        (panes) => this._showPanes(panes),
      ),
      element(
        "div",
        { class: "button-group" },
        button("Collapse all", "Close all groups", () => this._closeAll()),
        button("Expand changes", "Open the groups in which something changed", () => this._openChanged()),
        button("Expand all", "Open all groups", () => this._openAll()),
      ),
      element(
        "div",
        { class: "button-group" },
        button("−", "Zoom out", () => this._forPanes((pane) => pane.zoomBy(1 / 1.3))),
        button("+", "Zoom in", () => this._forPanes((pane) => pane.zoomBy(1.3))),
        button("Fit", "Show the whole graph", () => this._forPanes((pane) => pane.fit())),
      ),
    );
  }

  _tree(graph) {
    if (!this._trees.has(graph)) this._trees.set(graph, buildTree(this._report, graph, shortName));
    return this._trees.get(graph);
  }

  _show(position) {
    this._position = position;
    this._stage.classList.toggle("has-one-graph", position.before === null);
    this._draw();
    this._search.refresh();
    this._select();
  }

  _draw(anchor = null) {
    const position = this._position;
    const facts = (marks) => ({ marks, totalSeconds: this._report.summary.seconds });
    const size = (graph) => plural(this._report.graphs[graph].nodes.length, "node");
    const names =
      position.stage === WHOLE
        ? ["As imported", "After all passes"]
        : [`Before ${position.title}`, `After ${position.title}`];
    if (position.before !== null) {
      this._panes.before.draw(
        `${names[0]}: ${size(position.before)}`,
        this._tree(position.before),
        this._open,
        facts(position.marksBefore),
        anchor,
      );
    }
    const heading = position.before === null ? `As ${position.title}` : names[1];
    this._panes.after.draw(
      `${heading}: ${size(position.after)}`,
      this._tree(position.after),
      this._open,
      facts(position.marksAfter),
      anchor,
    );
  }

  _toggle(group) {
    if (!this._open.delete(group.path)) this._open.add(group.path);
    this._redraw(group.id);
  }

  _redraw(anchor = null) {
    this._draw(anchor);
    this._search.refresh();
    this._select();
    this._stage.querySelector(`[data-id="${CSS.escape(anchor ?? "")}"]`)?.focus({ preventScroll: true });
  }

  _closeAll() {
    this._open.clear();
    this._redraw();
    this._showStart();
  }

  /** Open groups until there is something to see, but not too much. */
  _openFirst() {
    const { root } = this._tree(this._report.stages[0].graph);
    const boxes = [...root.children];
    while (boxes.length < FEWEST_BOXES) {
      const closed = boxes.filter((box) => box.isGroup && boxes.length + box.children.length - 1 <= MOST_BOXES);
      const largest = d3.greatest(closed, (group) => group.leaves.length);
      if (!largest) return;
      this._open.add(largest.path);
      boxes.splice(boxes.indexOf(largest), 1, ...largest.children);
    }
  }

  _openAll() {
    for (const graph of [this._position.before, this._position.after]) {
      if (graph !== null) for (const path of this._tree(graph).groups.keys()) this._open.add(path);
    }
    this._redraw();
    this._showStart();
  }

  _openChanged() {
    const { before, after, marksBefore, marksAfter } = this._position;
    for (const [graph, marks] of [
      [before, marksBefore],
      [after, marksAfter],
    ]) {
      if (graph !== null) for (const key of marks.keys()) this._openAround(graph, key);
    }
    this._redraw();
    this._showStart();
  }

  /** Open the groups that a node is in. */
  _openAround(graph, key) {
    for (let group = this._tree(graph).leaves.get(leafId(key))?.parent; group; group = group.parent)
      this._open.add(group.path);
  }

  /** Select a node and bring it into the middle, in each graph the one that computes it there. */
  _goTo(key, node = null) {
    const nodes = this._counterparts(key);
    for (const [graph, found] of nodes) this._openAround(graph, found.key);
    this._redraw();
    this._selection.chooseNode(key, node ?? this._report.nodeIn(this._position.after, key) ?? null);
    const ids = new Map(nodes.map(([graph, found]) => [graph, leafId(found.key)]));
    this._forPanes((pane, graph) => ids.has(graph) && pane.reveal(ids.get(graph)));
  }

  /** Pairs of a graph that is shown and its node for this key, where it has one. */
  _counterparts(key) {
    const graphs = [this._position.before, this._position.after].filter((graph) => graph !== null);
    return graphs.map((graph) => [graph, this._report.counterpart(graph, key)]).filter(([, node]) => node);
  }

  _visibleNodes() {
    const { before, after } = this._position;
    const indices = new Set(
      [after, before].filter((graph) => graph !== null).flatMap((graph) => this._report.graphs[graph].nodes),
    );
    const nodes = [...indices].map((index) => this._report.nodes[index]);
    return [...new Map(nodes.reverse().map((node) => [node.key, node])).values()].reverse();
  }

  /** What the pass did to a node: "added", "removed", "changed" or undefined. */
  _markOf({ key }) {
    return this._position.marksAfter.get(key) ?? this._position.marksBefore.get(key);
  }

  _markFound(nodes) {
    const ids = new Set(nodes.map((node) => leafId(node.key)));
    this._forPanes((pane) => pane.markFound(ids));
  }

  /** Mark what is selected, or the closed group that hides it. */
  _select() {
    const { key, group } = this._selection.current;
    const nodes = key === null ? new Map() : new Map(this._counterparts(key));
    this._forPanes((pane, graph) => {
      if (group !== null) pane.select(`group:${group}`);
      else pane.select(nodes.has(graph) ? this._visibleId(graph, leafId(nodes.get(graph).key)) : null);
    });
  }

  _visibleId(graph, id) {
    const leaf = this._tree(graph).leaves.get(id);
    let visible = leaf;
    for (let group = leaf.parent; group?.parent; group = group.parent) if (!this._open.has(group.path)) visible = group;
    return visible.id;
  }

  _showPanes(panes) {
    this._stage.dataset.panes = panes;
    this._showStart();
  }

  /** Both graphs at the same scale. */
  _showStart() {
    const scales = [];
    this._forPanes((pane) => scales.push(pane.startScale));
    this._forPanes((pane) => pane.showStart(Math.min(...scales)));
  }

  /** Call `act` with each pane that has a graph, and the graph's index. */
  _forPanes(act) {
    act(this._panes.after, this._position.after);
    if (this._position.before !== null) act(this._panes.before, this._position.before);
  }

  /** The key that search has on many sites. */
  _onKey(event) {
    if (event.key !== "/" || event.target.tagName === "INPUT") return;
    event.preventDefault();
    this._search.focus();
  }
}
