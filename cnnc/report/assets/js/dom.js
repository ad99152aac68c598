/**
 * Elements of the page. Everything that comes from a model reaches the page as text nodes or attribute values, never as
 * markup, so that a node called "<script>" is only a node with an odd name.
 */

/**
 * A new element.
 *
 * @param {string} tag such as "button"
 * @param {Object} [properties] attributes; `onclick` and the like become listeners, false and null are left out
 * @param {...(Node|string|number|null)} children texts become text nodes, null is left out
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** What stands where facts are missing: a sentence, and a second one that says why or what to do. */
export function emptyState(sentence, reason = "") {
  return element(
    "div",
    { class: "empty-state" },
    element("p", { class: "empty-state-title" }, sentence),
    reason ? element("p", {}, reason) : null,
  );
}

/** A row of buttons of which one is pressed; `choose` is called with the value of each newly pressed one. */
export function choiceButtons(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    element(
      "button",
      { type: "button", "data-value": value, "aria-pressed": String(value === chosen), onclick: () => press(value) },
      text,
    ),
  );
  function press(value) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
    choose(value);
  }
  return element("div", { class: "choice-buttons", role: "group", "aria-label": label }, ...buttons);
}

/** Terms with their values, as a definition list; pairs without a value are left out. */
export function factList(pairs) {
  const rows = pairs.filter(([, value]) => ![null, undefined, ""].includes(value));
  return element(
    "dl",
    { class: "fact-list" },
    ...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]),
  );
}

/** Text that may break behind its commas and dots, where it would else break anywhere. */
export function breakable(text) {
  return text.split(/(?<=[,.])/).flatMap((part) => [part, element("wbr")]);
}

/** A list without bullets; an item is a text or an element, or several. */
export function list(className, items) {
  return element("ul", { class: className }, ...items.map((item) => element("li", {}, item)));
}

/** A button that looks like a link, for what leads elsewhere within the page. */
export function link(text, act) {
  return element("button", { type: "button", class: "link", onclick: act }, text);
}

/**
 * A table.
 *
 * @param {Array<string|{number: string}>} titles of the columns; `{number: title}` sets a column to the right
 * @param {Array<Array>} rows a text or an element for each column
 */
export function table(className, titles, rows) {
  const isNumber = titles.map((title) => typeof title === "object");
  const cells = (tag, contents) =>
    contents.map((content, index) => element(tag, { class: isNumber[index] ? "number" : null }, content));
  const head = cells(
    "th",
    titles.map((title) => title.number ?? title),
  );
  return element(
    "table",
    { class: className },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells("td", row)))),
  );
}

/** Part of the panel with details; null without content. */
export function detailsSection(title, content) {
  if (!content?.children.length) return null;
  return element("section", { class: "details-section" }, element("h3", {}, title), content);
}

/** A box of a part, with a title. */
export function card(title, ...content) {
  return element("section", { class: "card" }, element("h2", {}, title), ...content);
}
