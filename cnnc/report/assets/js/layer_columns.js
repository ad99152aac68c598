/**
 * The columns of the table of layers, of which some are also measures for the bars. A column that would be empty for
 * every layer is left out: int8 and sparsity only stand there for networks that have them.
 *
 * @typedef {Object} Column
 * @property {string} id
 * @property {string} title
 * @property {string} hint what the column means
 * @property {function(Object): (number|string|null)} value of a layer, by which it is sorted; null if not known
 * @property {function((number|string|null)): string} text of a value
 * @property {boolean} isNumber whether it is set to the right, and sorted from the largest at first
 */
import { breakEven, bytes, count, giga, percent, plainName, seconds, shorten, tiny } from "./format.js";
import { flopRate, intensity, movedBytes, roofShare } from "./report_data.js";

const LONGEST_NAME = 40;

const asText = (value) => value ?? "";
const oneDigit = (value) => (value === null ? "–" : value.toFixed(1));

/** All columns of which some layer of the report has a value. */
export function columnsOf(report) {
  const total = report.summary.seconds;
  const hasZeros = (layer) => layer.sparsity !== null && layer.sparsity.pattern !== "dense";
  const integer = (layer, field) => (layer.integer ? layer.integer[field] : null);
  const all = [
    number("step", "step", "place in the program", (layer) => layer.step, String, true),
    words("op", "op", "what the layer computes", (layer) => layer.op),
    words("name", "layer", "first node of the model that it computes; + how many more", layerName, (name) =>
      shorten(name, LONGEST_NAME),
    ),
    words("kernel", "kernel", "the rule of the compiler that chose its kernel", (layer) => layer.kernel),
    number("seconds", "time", "median of the profiled runs", (layer) => layer.seconds, seconds),
    number(
      "share",
      "share",
      "of the time of all layers",
      (layer) => (layer.seconds === null ? null : layer.seconds / total),
      percent,
    ),
    number(
      "roof",
      "of roof",
      "share of what the machine allows; methods that need fewer products may be above 100 %",
      roofShare,
      percent,
    ),
    words("bound", "bound", "which of computing and moving takes longer at the machine's rates", (layer) =>
      layer.roof_seconds ? layer.bound : "",
    ),
    number("flops", "GFLOP/s", "two operations a multiply-accumulate", flopRate, giga),
    number("macs", "MACs", "multiply-accumulates", (layer) => layer.macs || null, count),
    number("bytes", "bytes", "read and written at least, weights included", movedBytes, bytes),
    number("weights", "weights", "bytes of its constants", (layer) => layer.weight_bytes || null, bytes),
    number("intensity", "FLOP/B", "operations a byte moved", intensity, oneDigit),
    number("predicted", "predicted", "by the cost model", (layer) => layer.predicted_seconds, seconds),
    number(
      "error",
      "error",
      "largest difference from onnxruntime, in standard deviations",
      (layer) => layer.numeric?.max_error ?? null,
      tiny,
    ),
    number(
      "sqnr",
      "SQNR",
      "signal to rounding noise of the 8-bit result, in dB",
      (layer) => integer(layer, "sqnr_db"),
      oneDigit,
    ),
    number("scale", "scale", "step of the 8-bit result", (layer) => integer(layer, "output_scale"), tiny),
    number(
      "weight_bits",
      "bits",
      "of a quantized weight",
      (layer) => integer(layer, "weight_bits"),
      (value) => (value === null ? "–" : String(value)),
    ),
    number(
      "density",
      "density",
      "share of non-zero weights",
      (layer) => (hasZeros(layer) ? layer.sparsity.density : null),
      percent,
    ),
    words("pattern", "pattern", "how the zeros of the weight lie", (layer) =>
      hasZeros(layer) ? layer.sparsity.pattern : "",
    ),
    number(
      "break_even",
      "pays below",
      "density below which a sparse kernel is taken",
      (layer) => (hasZeros(layer) ? layer.sparsity.break_even : null),
      breakEven,
    ),
    words("output", "output", "type of its result", (layer) => layer.output_type),
  ];
  return all.filter((column) => report.layers.some((layer) => !["", null].includes(column.value(layer))));
}

/** Columns that a bar can be as high as. */
export function measuresOf(report) {
  const ids = ["seconds", "macs", "bytes", "flops", "roof", "error"];
  return columnsOf(report).filter((column) => ids.includes(column.id));
}

export function layerName(layer) {
  const more = layer.origins.length - 1;
  return plainName(layer.name) + (more > 0 ? ` + ${more}` : "");
}

function number(id, title, hint, value, text, ascending = false) {
  return { id, title, hint, value, text, isNumber: true, ascending };
}

function words(id, title, hint, value, text = asText) {
  return { id, title, hint, value, text, isNumber: false, ascending: true };
}
