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
  return element("div", { class: "empty-state" },
    element("p", { class: "empty-state-title" }, sentence),
    reason ? element("p", {}, reason) : null);
}

/** A row of buttons of which one is pressed; `choose` is called with the value of each newly pressed one. */
export function choiceButtons(label, choices, chosen, choose) {
  const buttons = choices.map(([value, text]) =>
    element("button", { type: "button", "data-value": value, "aria-pressed": String(value === chosen),
      onclick: () => press(value) }, text));
  function press(value) {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.value === value));
    choose(value);
  }
  return element("div", { class: "choice-buttons", role: "group", "aria-label": label }, ...buttons);
}

/** Terms with their values, as a definition list; pairs without a value are left out. */
export function factList(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "fact-list" },
    ...rows.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, value)]));
}

/** Text that may break behind its commas and dots, where it would else break anywhere. */
export function breakable(text) {
  return text.split(/(?<=[,.])/).flatMap((part) => [part, element("wbr")]);
}
