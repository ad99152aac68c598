/**
 * Positions of the slider over the passes. The first ones are the report's stages: the graph as it was imported, and
 * after each pass, compared with the graph before that pass. The last one compares the imported graph with the
 * program's.
 */

export const WHOLE = "whole";

/**
 * @typedef {Object} Position
 * @property {number|string} stage index of the report's stage, or WHOLE
 * @property {number} after index of the graph; `before` the same, or null for the imported graph
 * @property {Map<string, string>} marksBefore "removed" or "changed" by key of a node of the graph before
 * @property {Map<string, string>} marksAfter "added" or "changed"
 */

/** All positions of a report; none if it has no stages. */
export function positionsOf(report) {
  if (!report.stages.length) return [];
  const stages = report.stages.map((stage, index) => stagePosition(report, stage, index));
  return report.stages.length > 1 ? [...stages, wholePosition(report)] : stages;
}

/** How many nodes a position marks, by what happened to them. */
export function changeCounts(position) {
  const counts = { added: 0, removed: 0, changed: 0 };
  for (const mark of position.marksAfter.values()) counts[mark] += 1;
  for (const mark of position.marksBefore.values()) if (mark === "removed") counts.removed += 1;
  return counts;
}

/** "155 changed, 155 removed". */
export function changeText(position) {
  const counts = Object.entries(changeCounts(position)).filter(([, number]) => number);
  return counts.map(([mark, number]) => `${number} ${mark}`).join(", ") || "changed nothing";
}

function stagePosition(report, stage, index) {
  const keyOf = (node) => report.nodes[node].key;
  const changed = stage.changed.map(([before]) => keyOf(before));
  return {
    stage: index,
    title: stage.name,
    options: stage.options,
    why: stage.why,
    seconds: index === 0 ? null : stage.seconds,
    before: index === 0 ? null : report.stages[index - 1].graph,
    after: stage.graph,
    marksBefore: marks([
      [stage.removed.map(keyOf), "removed"],
      [changed, "changed"],
    ]),
    marksAfter: marks([
      [stage.added.map(keyOf), "added"],
      [changed, "changed"],
    ]),
    rewrites: stage.rewrites,
    refusals: report.refusedRewrites.filter((refusal) => refusal.stage === index),
    undone: stage.undone,
  };
}

function wholePosition(report) {
  const before = report.stages[0].graph;
  const after = report.stages.at(-1).graph;
  const first = nodesByKey(report, before);
  const last = nodesByKey(report, after);
  const removed = [...first.keys()].filter((key) => !last.has(key));
  const added = [...last.keys()].filter((key) => !first.has(key));
  const changed = [...last].filter(([key, node]) => first.has(key) && first.get(key) !== node).map(([key]) => key);
  const passes = report.stages.slice(1);
  const active = passes.filter((stage) => stage.graph !== report.stages[report.stages.indexOf(stage) - 1].graph);
  return {
    stage: WHOLE,
    title: "all passes",
    options: "",
    why:
      "The imported graph beside the one that the program is made from. " +
      `Of ${passes.length} passes, ${active.length} changed it.`,
    seconds: passes.reduce((sum, stage) => sum + stage.seconds, 0),
    before,
    after,
    marksBefore: marks([
      [removed, "removed"],
      [changed, "changed"],
    ]),
    marksAfter: marks([
      [added, "added"],
      [changed, "changed"],
    ]),
    rewrites: mergeRewrites(passes),
    refusals: report.refusedRewrites,
    undone: "",
  };
}

function nodesByKey(report, graph) {
  return new Map(report.graphs[graph].nodes.map((index) => [report.nodes[index].key, index]));
}

function marks(lists) {
  return new Map(lists.flatMap(([keys, mark]) => keys.map((key) => [key, mark])));
}

/** Rewrites of several passes, each rule once. */
function mergeRewrites(stages) {
  const origins = new Map();
  for (const { rule, origins: more } of stages.flatMap((stage) => stage.rewrites)) {
    origins.set(rule, [...(origins.get(rule) ?? []), ...more]);
  }
  return [...origins].map(([rule, each]) => ({ rule, origins: each }));
}
