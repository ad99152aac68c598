/**
 * The slider over the passes: a bar for each position, as high as the pass changed nodes, and an ordinary range input
 * below, so that keyboard and screen reader work as they always do.
 */
import { element, factList } from "./dom.js";
import { plainName, plural, seconds } from "./format.js";
import { changeCounts, changeText, WHOLE } from "./stage_changes.js";

const SHOWN_REWRITES = 200;

export class PassSlider {
  /** @param {function(Object)} onMove is called with each new position */
  constructor(report, positions, onMove) {
    this._positions = positions;
    this._onMove = onMove;
    this._shown = [];
    this._bars = element("div", { class: "pass-bars", "aria-hidden": "true" });
    this._range = element("input", {
      type: "range",
      id: "pass-slider",
      min: 0,
      step: 1,
      "aria-label": "pass",
      oninput: () => this._moved(),
    });
    this._onlyChanging = element("input", { type: "checkbox", id: "only-changing", onchange: () => this._filter() });
    this._onlyChanging.checked = true;
    this._title = element("h2", { class: "pass-title" });
    this._text = element("div", { class: "pass-text", "aria-live": "polite" });
    this.root = element(
      "div",
      { class: "pass-slider" },
      element(
        "div",
        { class: "pass-track" },
        element(
          "button",
          { type: "button", class: "step-button", "aria-label": "pass before", onclick: () => this._step(-1) },
          "‹",
        ),
        element("div", { class: "pass-scale" }, this._bars, this._range),
        element(
          "button",
          { type: "button", class: "step-button", "aria-label": "next pass", onclick: () => this._step(1) },
          "›",
        ),
      ),
      element(
        "div",
        { class: "pass-heading" },
        this._title,
        element("label", { class: "check-label" }, this._onlyChanging, "only passes that changed the graph"),
      ),
      this._text,
    );
    this._filter(positions.at(-1));
  }

  /** The position that is shown. */
  get position() {
    return this._shown[Number(this._range.value)];
  }

  /** Move to a stage of the report, also to one that is filtered out. */
  goTo(stage) {
    const target = this._positions.find((position) => position.stage === stage);
    if (!this._shown.includes(target)) {
      this._onlyChanging.checked = false;
      this._filter(target);
    }
    this._range.value = this._shown.indexOf(target);
    this._moved();
  }

  /** Tell of the first position; later ones are told of as the reader moves. */
  start() {
    this._moved();
  }

  _filter(wanted = this.position) {
    const isShown = (position) =>
      !this._onlyChanging.checked || position.stage === 0 || position.marksBefore.size + position.marksAfter.size > 0;
    this._shown = this._positions.filter((position) => isShown(position) || position.stage === WHOLE);
    this._range.max = this._shown.length - 1;
    const nearest = this._shown.findLast(
      (position) => this._positions.indexOf(position) <= this._positions.indexOf(wanted),
    );
    this._range.value = this._shown.indexOf(nearest);
    this._drawBars();
    if (this._title.textContent) this._moved();
  }

  _step(by) {
    this._range.value = Number(this._range.value) + by;
    this._moved();
  }

  _moved() {
    const { position } = this;
    this._range.setAttribute("aria-valuetext", `${position.title}: ${changeText(position)}`);
    [...this._bars.children].forEach((bar, index) =>
      bar.classList.toggle("is-current", this._shown[index] === position),
    );
    this._describe(position);
    this._onMove(position);
  }

  _drawBars() {
    const total = (position) => Object.values(changeCounts(position)).reduce((sum, number) => sum + number, 0);
    const most = Math.max(1, ...this._shown.filter((each) => each.stage !== WHOLE).map(total));
    this._bars.replaceChildren(
      ...this._shown.map((position, index) => {
        const counts = changeCounts(position);
        const bar = element("div", {
          class: "pass-bar",
          title: `${position.title}: ${changeText(position)}`,
          onclick: () => {
            this._range.value = index;
            this._moved();
          },
        });
        bar.style.setProperty("--place", this._shown.length > 1 ? index / (this._shown.length - 1) : 0.5);
        for (const mark of position.stage === WHOLE ? [] : ["removed", "changed", "added"]) {
          if (!counts[mark]) continue;
          const part = element("div", { class: `pass-bar-part is-${mark}` });
          part.style.height = `${Math.max(8, (100 * counts[mark]) / most)}%`;
          bar.append(part);
        }
        return bar;
      }),
    );
  }

  _describe(position) {
    const shown = this._shown.indexOf(position) + 1;
    this._title.replaceChildren(
      element("span", { class: "pass-count" }, `${shown} / ${this._shown.length}`),
      element("span", { class: "pass-name" }, position.title),
      position.options ? element("code", {}, position.options) : "",
      ...changeChips(position),
    );
    this._text.replaceChildren(
      position.undone ? element("p", { class: "warning" }, `Undone: ${position.undone}`) : "",
      element("p", { class: "pass-why" }, position.why || "The pipeline gives no reason for its place."),
      position.seconds === null ? "" : element("span", { class: "muted" }, `took ${seconds(position.seconds)}`),
      rewriteList(position.rewrites) ?? "",
      refusalList(position.refusals) ?? "",
    );
  }
}

/** "~53 changed" and the like, coloured as in the graph. */
function changeChips(position) {
  const signs = { added: "+", removed: "−", changed: "~" };
  const chips = Object.entries(changeCounts(position))
    .filter(([, number]) => number)
    .map(([mark, number]) =>
      element(
        "span",
        { class: `chip is-${mark}`, "data-mark": mark, "data-count": number },
        `${signs[mark]}${number} ${mark}`,
      ),
    );
  if (chips.length || position.before === null) return chips;
  return [element("span", { class: "chip" }, "changed nothing")];
}

function rewriteList(rewrites) {
  const total = rewrites.reduce((sum, each) => sum + each.origins.length, 0);
  if (!total) return null;
  return element(
    "details",
    { class: "pass-list" },
    element("summary", {}, plural(total, "rewrite")),
    factList(
      rewrites.map(({ rule, origins }) => [
        `${rule} × ${origins.length}`,
        element(
          "ul",
          {},
          ...origins
            .slice(0, SHOWN_REWRITES)
            .map((names) => element("li", {}, names.map(plainName).join(" + ") || "a new node")),
          origins.length > SHOWN_REWRITES ? element("li", {}, `and ${origins.length - SHOWN_REWRITES} more`) : null,
        ),
      ]),
    ),
  );
}

function refusalList(refusals) {
  if (!refusals.length) return null;
  return element(
    "details",
    { class: "pass-list" },
    element("summary", {}, `${refusals.length} refused`),
    factList(
      refusals.slice(0, SHOWN_REWRITES).map(({ rule, node, reason }) => [`${rule} at ${plainName(node)}`, reason]),
    ),
  );
}
