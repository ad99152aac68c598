/** Widths of texts in pixels, before they are drawn. */

let context = null;
const known = new Map();

/** @param {string} font as in CSS, such as "600 12px sans-serif" */
export function textWidth(text, font) {
  const key = `${font}|${text}`;
  if (!known.has(key)) {
    context ??= document.createElement("canvas").getContext("2d");
    context.font = font;
    known.set(key, context.measureText(text).width);
  }
  return known.get(key);
}
