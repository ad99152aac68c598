/**
 * Parts of the report, of which one is shown; the pattern of the ARIA practices: arrow keys move between tabs, Tab goes
 * into the part. A part is drawn when it is first shown, so that a large graph does not hold up the page.
 */
import { element } from "./dom.js";

export class Tabs {
  /** @param {Array<{id: string, title: string, mount: function(HTMLElement), onShow: ?function()}>} parts */
  constructor(bar, container, parts) {
    this._parts = parts.map((part, index) => {
      const tab = element(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${part.id}`,
          "aria-controls": `part-${part.id}`,
          onclick: () => this.show(part.id),
          onkeydown: (event) => this._onKey(event, index),
        },
        part.title,
      );
      const panel = element("section", {
        role: "tabpanel",
        id: `part-${part.id}`,
        "aria-labelledby": `tab-${part.id}`,
        class: `part part-${part.id}`,
        hidden: true,
      });
      return { ...part, tab, panel, isMounted: false };
    });
    bar.append(...this._parts.map((part) => part.tab));
    container.append(...this._parts.map((part) => part.panel));
    addEventListener("beforeprint", () => this._parts.forEach((part) => this._mount(part)));
  }

  show(id) {
    for (const part of this._parts) {
      const isShown = part.id === id;
      part.tab.setAttribute("aria-selected", String(isShown));
      part.tab.tabIndex = isShown ? 0 : -1;
      part.panel.hidden = !isShown;
      if (!isShown) continue;
      this._mount(part);
      part.onShow?.();
    }
    document.body.dataset.part = id;
  }

  _mount(part) {
    if (part.isMounted) return;
    part.isMounted = true;
    part.mount(part.panel);
  }

  _onKey(event, index) {
    const count = this._parts.length;
    const target = { ArrowRight: (index + 1) % count, ArrowLeft: (index + count - 1) % count, Home: 0, End: count - 1 }[
      event.key
    ];
    if (target === undefined) return;
    event.preventDefault();
    this.show(this._parts[target].id);
    this._parts[target].tab.focus();
  }
}
