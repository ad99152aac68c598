/** What the panel with details says of a layer: its step, its kernel and the rivals, numbers and errors. */
import { breakable, detailsSection, element, factList, list, table } from "./dom.js";
import { breakEven, bytes, count, giga, known, percent, plainName, plural, seconds, tiny } from "./format.js";
import { flopRate, intensity, movedBytes, roofShare } from "./report_data.js";

/** Sections for the panel; those without facts are null. */
export function layerSections(report, layer) {
  return [
    detailsSection(`Step ${layer.step}`, factList(stepFacts(report, layer))),
    rivalSection(layer.rivals),
    numericSection(layer.numeric),
    integerSection(layer.integer),
    sparsitySection(layer.sparsity),
    refusedSection(layer.refused.map((index) => report.refusedKernels[index])),
  ];
}

function stepFacts(report, layer) {
  const moved = () =>
    [
      `${bytes(layer.read_bytes)} read`,
      `${bytes(layer.written_bytes)} written`,
      `${bytes(layer.weight_bytes ?? 0)} weights`,
    ].join(", ");
  return [
    ["kernel", layer.kernel],
    ["time", known(layer.seconds, seconds)],
    ["share of all", known(layer.seconds, (time) => percent(time / report.summary.seconds))],
    ["predicted", known(layer.predicted_seconds, seconds)],
    ["of the roof", known(roofShare(layer), (share) => `${percent(share)}, bound by ${layer.bound}`)],
    ["GFLOP/s", known(flopRate(layer), giga)],
    ["MACs", known(layer.macs || null, count)],
    ["FLOP a byte", known(intensity(layer), (value) => value.toFixed(1))],
    ["moves", known(movedBytes(layer), moved)],
    ["variants", layer.variants.length ? list("code-list", layer.variants.map(breakable)) : null],
  ];
}

function rivalSection(rivals) {
  if (!rivals.length) return null;
  const isMeasured = rivals.some((rival) => rival.measured_seconds !== null);
  const titles = ["kernel and tiling", { number: "predicted" }, ...(isMeasured ? [{ number: "measured" }] : [])];
  const rows = rivals.map((rival) => {
    const tag = rival.is_chosen ? element("span", { class: "tag" }, "taken") : null;
    const kernel = [element("div", {}, breakable(rival.kernel), tag), element("code", {}, rival.tiling)];
    const times = [rival.predicted_seconds, ...(isMeasured ? [rival.measured_seconds] : [])];
    return [kernel, ...times.map(seconds)];
  });
  return detailsSection("Kernels that could run it", table("small-table", titles, rows));
}

function refusedSection(refused) {
  if (!refused.length) return null;
  return element(
    "details",
    { class: "details-section" },
    element("summary", {}, `${plural(refused.length, "kernel")} not taken`),
    factList(refused.map(({ kernel, reason }) => [kernel, reason])),
  );
}

function numericSection(numeric) {
  if (!numeric) return null;
  const deviations = (value) => `${tiny(value)} standard deviations`;
  return detailsSection(
    "Against onnxruntime",
    factList([
      ["tensor", plainName(numeric.tensor)],
      ["largest error", known(numeric.max_error, deviations) ?? (numeric.reason || "not compared")],
      ["mean error", known(numeric.mean_error, deviations)],
      ["largest difference", known(numeric.max_difference, tiny)],
    ]),
  );
}

function integerSection(integer) {
  if (!integer) return null;
  const places = (scale) => scale.toPrecision(3);
  const quantization = (scale, zero) => known(scale, () => `scale ${places(scale)}, zero point ${zero}`);
  return detailsSection(
    "8-bit integers",
    factList([
      ["input", quantization(integer.input_scale, integer.input_zero_point)],
      ["output", quantization(integer.output_scale, integer.output_zero_point)],
      ["weights", known(integer.weight_bits, (bits) => `${bits} bits`)],
      ["weight scales", known(integer.weight_scales, (scales) => scales.map(places).join(" to "))],
      ["SQNR", known(integer.sqnr_db, (ratio) => `${ratio.toFixed(1)} dB`)],
    ]),
  );
}

function sparsitySection(sparsity) {
  if (!sparsity || sparsity.pattern === "dense") return null;
  return detailsSection(
    "Zeros in the weight",
    factList([
      ["density", percent(sparsity.density)],
      ["pattern", sparsity.pattern],
      ["pays below", known(sparsity.break_even, breakEven)],
      ["dense kernel", sparsity.dense_kernel],
    ]),
  );
}
