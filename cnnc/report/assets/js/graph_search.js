/** Finds nodes by name, op or origin, in a list below the search box; Enter goes from one to the next. */
import { element } from "./dom.js";
import { plainName } from "./format.js";

const SHOWN_RESULTS = 60;

export class GraphSearch {
  /**
   * @param {function(): Array} nodesOf gives the nodes to search
   * @param {function(Object): (string|undefined)} markOf says what the pass did to a node
   * @param {{found: function(Array), chosen: function(Object)}} handlers told of all nodes found, and of the one chosen
   */
  constructor(nodesOf, markOf, handlers) {
    this._nodesOf = nodesOf;
    this._markOf = markOf;
    this._handlers = handlers;
    this._results = [];
    this._next = 0;
    this._input = element("input", {
      type: "search",
      id: "graph-search",
      placeholder: "Search nodes",
      "aria-label": "Search nodes by name, op or origin",
      role: "combobox",
      "aria-controls": "graph-search-results",
      "aria-expanded": "false",
      autocomplete: "off",
      oninput: () => this._search(),
      onkeydown: (event) => this._onKey(event),
      onfocus: () => this._search(),
      onblur: () => this._close(),
    });
    this._list = element("ul", { id: "graph-search-results", class: "search-results", role: "listbox", hidden: true });
    this.root = element("div", { class: "graph-search" }, this._input, this._list);
  }

  focus() {
    this._input.focus();
    this._input.select();
  }

  /** Search again, in other nodes. */
  refresh() {
    this._results = matching(this._nodesOf(), this._input.value);
    this._handlers.found(this._results);
  }

  _search() {
    this.refresh();
    this._next = 0;
    const hasText = this._input.value.trim() !== "";
    this._list.hidden = !hasText;
    this._input.setAttribute("aria-expanded", String(hasText));
    const rest = this._results.length - SHOWN_RESULTS;
    this._list.replaceChildren(
      ...this._results.slice(0, SHOWN_RESULTS).map((node) =>
        // The list goes when the box loses the focus, which is before a click: so it is the press that chooses.
        element(
          "li",
          { role: "option", "data-key": node.key, onmousedown: () => this._handlers.chosen(node) },
          element("strong", {}, node.op),
          ` ${plainName(node.name)}`,
          // A rewritten node has the name of its first origin, so two nodes may have one name: their results differ.
          plainName(node.key) === plainName(node.name)
            ? null
            : element("span", { class: "muted" }, ` → ${plainName(node.key)}`),
          this._markOf(node) ? element("span", { class: `chip is-${this._markOf(node)}` }, this._markOf(node)) : null,
        ),
      ),
      element(
        "li",
        { class: "muted", "aria-disabled": "true" },
        this._results.length === 0
          ? "no node has this in its name, op or origins"
          : rest > 0
            ? `and ${rest} more`
            : `${this._results.length} found`,
      ),
    );
  }

  _close() {
    this._list.hidden = true;
    this._input.setAttribute("aria-expanded", "false");
  }

  _onKey(event) {
    if (event.key === "Escape") {
      this._input.value = "";
      this.refresh();
      this._close();
    } else if (event.key === "Enter" && this._results.length) {
      this._handlers.chosen(this._results[this._next % this._results.length]);
      this._next += 1;
      this._close();
    }
  }
}

/** Nodes that contain every word of the text. */
function matching(nodes, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return nodes.filter((node) => {
    const all = [node.op, node.name, node.key, ...node.origins].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}
