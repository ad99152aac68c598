/** The part "Refused": rewrites and kernels that nearly fitted, and the sentence why each did not. */
import { card, element, emptyState, link, list, table } from "./dom.js";
import { plainName, plural } from "./format.js";

const SHOWN_PLACES = 40;
const UNFOLDED_PLACES = 3;

export function mountRefusals(container, report, selection) {
  const rewrites = report.refusedRewrites.map(({ stage, rule, node, reason }) => ({
    what: rule,
    place: plainName(node),
    reason,
    choose: chooserOf(report, selection, stage, node),
  }));
  const kernels = report.layers.flatMap((layer) =>
    layer.refused.map((index) => {
      const { kernel, reason } = report.refusedKernels[index];
      return { what: kernel, place: plainName(layer.name), reason, choose: () => selection.chooseLayer(layer.step) };
    }),
  );
  container.append(
    part("Rewrites that did not fit", "rewrite", rewrites, "Every rewrite that nearly fitted was done."),
    part("Kernels that were not taken", "kernel", kernels, "Each layer had one kernel only."),
  );
}

/** What shows the node of a refusal; null if no graph has a node of that name. */
function chooserOf(report, selection, stage, name) {
  const graph = report.stages[stage]?.graph;
  const index =
    graph === undefined ? undefined : report.graphs[graph].nodes.find((each) => report.nodes[each].name === name);
  return index === undefined ? null : () => selection.chooseNode(report.nodes[index].key);
}

/** A table with a row for each pair of what was refused and why. */
function part(title, noun, refusals, nothing) {
  const rows = new Map();
  for (const refusal of refusals) {
    const key = `${refusal.what}\n${refusal.reason}`;
    if (!rows.has(key)) rows.set(key, { ...refusal, places: [] });
    rows.get(key).places.push(refusal);
  }
  const sorted = [...rows.values()].sort((a, b) => a.what.localeCompare(b.what) || b.places.length - a.places.length);
  if (!sorted.length) return card(title, emptyState(nothing));
  const cells = sorted.map((row) => [element("code", {}, row.what), row.reason, placeList(row.places)]);
  return card(title, table("plain-table refusals", [noun, "why not", "where"], cells));
}

function placeList(places) {
  const shown = places.slice(0, SHOWN_PLACES).map(({ place, choose }) => (choose ? link(place, choose) : place));
  const rest = places.length - shown.length;
  const more = rest ? [element("span", { class: "muted" }, `and ${rest} more`)] : [];
  const all = list("place-list", [...shown, ...more]);
  if (places.length <= UNFOLDED_PLACES) return all;
  return element("details", {}, element("summary", {}, plural(places.length, "place")), all);
}
