/** One small box beside the pointer, or beside the focused mark, with lines of text. */

const GAP = 14;

/** Show `lines` (the first one is the title) beside a point of the window. */
function showTooltip(lines, x, y) {
  const box = document.getElementById("tooltip");
  box.replaceChildren(
    ...lines.map((line, index) => {
      const row = document.createElement("div");
      row.className = index === 0 ? "tooltip-title" : "tooltip-line";
      row.textContent = line;
      return row;
    }),
  );
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = x + GAP + width > innerWidth ? x - GAP - width : x + GAP;
  const top = y + GAP + height > innerHeight ? y - GAP - height : y + GAP;
  box.style.left = `${Math.max(4, left)}px`;
  box.style.top = `${Math.max(4, top)}px`;
}

function hideTooltip() {
  document.getElementById("tooltip").hidden = true;
}

/** Give every mark of a d3 selection a tooltip; `linesOf` takes the mark's datum. */
export function addTooltip(marks, linesOf) {
  marks
    .on("pointerenter.tooltip pointermove.tooltip", (event, datum) =>
      showTooltip(linesOf(datum), event.clientX, event.clientY),
    )
    .on("pointerleave.tooltip blur.tooltip", hideTooltip)
    .on("focus.tooltip", (event, datum) => {
      const place = event.currentTarget.getBoundingClientRect();
      showTooltip(linesOf(datum), place.right, place.top);
    });
}
