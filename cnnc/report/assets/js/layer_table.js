/** The table of layers: sorted by any column, filtered by text; a click or Enter selects a layer. */
import { element, emptyState } from "./dom.js";
import { plural } from "./format.js";
import { columnsOf } from "./layer_columns.js";
import { opKind } from "./op_kinds.js";

export class LayerTable {
  constructor(report, selection) {
    this._report = report;
    this._selection = selection;
    this._columns = columnsOf(report);
    this._sort = { column: this._columns[0], descending: false };
    this._filter = element("input", {
      type: "search",
      id: "layer-filter",
      placeholder: "Filter layers",
      "aria-label": "Filter layers by any text",
      oninput: () => this._draw(),
    });
    this._count = element("span", { class: "muted", "aria-live": "polite" });
    this._head = element("tr", {});
    this._body = element("tbody", { onkeydown: (event) => this._onKey(event) });
    this.root = report.layers.length
      ? element(
          "div",
          { class: "layer-table" },
          element("div", { class: "toolbar" }, this._filter, this._count),
          element(
            "div",
            { class: "table-scroll" },
            element("table", { class: "data-table", id: "layer-table" }, element("thead", {}, this._head), this._body),
          ),
        )
      : emptyState("The program has no steps.", "The model's outputs are its inputs or constants.");
    this._drawHead();
    this._draw();
    selection.onChange(() => this._select());
  }

  _drawHead() {
    this._head.replaceChildren(
      ...this._columns.map((column) => {
        const isSorted = column === this._sort.column;
        const arrow = isSorted ? (this._sort.descending ? "▾" : "▴") : "";
        return element(
          "th",
          {
            scope: "col",
            class: column.isNumber ? "number" : null,
            "data-column": column.id,
            "aria-sort": isSorted ? (this._sort.descending ? "descending" : "ascending") : "none",
          },
          element(
            "button",
            { type: "button", title: column.hint, onclick: () => this._sortBy(column) },
            column.title,
            element("span", { class: "sort-arrow", "aria-hidden": "true" }, arrow),
          ),
        );
      }),
    );
  }

  _sortBy(column) {
    const again = column === this._sort.column;
    this._sort = { column, descending: again ? !this._sort.descending : !column.ascending };
    this._drawHead();
    this._draw();
    this._head.querySelector(`[data-column="${column.id}"] button`).focus();
  }

  _draw() {
    const words = this._filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = this._report.layers
      .filter((layer) => {
        const text = [layer.op, layer.name, layer.kernel, layer.output_type, layer.bound, ...layer.origins]
          .join(" ")
          .toLowerCase();
        return words.every((word) => text.includes(word));
      })
      .sort((a, b) => this._compare(a, b));
    this._body.replaceChildren(...rows.map((layer, index) => this._row(layer, index)));
    this._count.textContent = words.length
      ? `${rows.length} of ${plural(this._report.layers.length, "layer")}`
      : plural(rows.length, "layer");
    this._select();
  }

  /** Values that are not known come last in either direction; equal ones keep the order of the program. */
  _compare(a, b) {
    const { column, descending } = this._sort;
    const [x, y] = [column.value(a), column.value(b)];
    const [noX, noY] = [x === null || x === "", y === null || y === ""];
    if (noX || noY) return noX - noY || a.step - b.step;
    const order = column.isNumber ? x - y : x.localeCompare(y, "en", { numeric: true });
    return (descending ? -order : order) || a.step - b.step;
  }

  _row(layer, index) {
    return element(
      "tr",
      {
        "data-step": layer.step,
        tabindex: index === 0 ? 0 : -1,
        class: `kind-${opKind(layer.op)}`,
        onclick: () => this._selection.chooseLayer(layer.step),
      },
      ...this._columns.map((column) => {
        const value = column.value(layer);
        return element(
          "td",
          { class: column.isNumber ? "number" : `column-${column.id}`, title: column.isNumber ? null : value },
          column.text(value),
        );
      }),
    );
  }

  _onKey(event) {
    const row = event.target.closest("tr");
    const target = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
    if (target) {
      row.tabIndex = -1;
      target.tabIndex = 0;
      target.focus();
    } else if (row && event.key === "Enter") {
      this._selection.chooseLayer(Number(row.dataset.step));
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Scroll to the selected layer. */
  revealSelected() {
    if (this._body.offsetParent) this._body.querySelector(".is-selected")?.scrollIntoView({ block: "nearest" });
  }

  _select() {
    const { step } = this._selection.current;
    for (const row of this._body.children) {
      const isSelected = Number(row.dataset.step) === step;
      row.classList.toggle("is-selected", isSelected);
      row.setAttribute("aria-selected", String(isSelected));
    }
    this.revealSelected();
  }
}
