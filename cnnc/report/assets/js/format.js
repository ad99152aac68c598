/** Numbers and names as text. Units follow `cnnc`'s own output: seconds in ns to s, bytes in KiB to GiB. */

const NOTHING = "–";

/** Between a number and its unit; no line breaks there. */
const SPACE = "\u00a0";

const SECOND_UNITS = [
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
  [1e-9, "ns"],
];
const BYTE_UNITS = [
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
];
const COUNT_UNITS = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** Three significant digits without an exponent: 0.123, 1.23, 12.3, 123, 1234. */
export function digits(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  return size >= 0.995 ? value.toFixed(2) : value.toPrecision(2);
}

export function seconds(value) {
  if (value === null) return NOTHING;
  const [scale, unit] = SECOND_UNITS.find(([limit]) => value >= limit) ?? SECOND_UNITS[3];
  return `${digits(value / scale)}${SPACE}${unit}`;
}

export function bytes(value) {
  if (value === null) return NOTHING;
  const [scale, unit] = BYTE_UNITS.find(([limit]) => Math.abs(value) >= limit) ?? [1, "B"];
  return `${digits(value / scale)}${SPACE}${unit}`;
}

/** 1234567 as 1.23 M. */
export function count(value) {
  if (value === null) return NOTHING;
  const [scale, unit] = COUNT_UNITS.find(([limit]) => Math.abs(value) >= limit) ?? [1, ""];
  return scale === 1 ? String(value) : `${digits(value / scale)}${SPACE}${unit}`;
}

/** A number of the rate `perSecond` in units of 1e9, such as GFLOP/s. */
export function giga(value) {
  return value === null ? NOTHING : digits(value / 1e9);
}

export function percent(share) {
  if (share === null) return NOTHING;
  const value = 100 * share;
  return value !== 0 && Math.abs(value) < 0.1
    ? `< 0.1${SPACE}%`
    : `${value < 10 ? value.toFixed(1) : value.toFixed(0)}${SPACE}%`;
}

/** A small number: 1.2e-5. */
export function tiny(value) {
  if (value === null) return NOTHING;
  return value === 0 ? "0" : value.toExponential(1);
}

/** "1 node", "2 nodes". */
export function plural(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const SOURCE_LINE = / \([^()]+:\d+\)$/;

/** A node's name without the source line that the Python frontend writes behind it: "conv1 (net.py:12)" is "conv1". */
export function plainName(name) {
  return name.replace(SOURCE_LINE, "");
}

/**
 * The last part of a node's path: "layer1.0.conv1" is "conv1", "/layer1/conv1/Conv" is "Conv"; a number keeps the part
 * before.
 */
export function shortName(name) {
  const plain = plainName(name);
  const parts = plain.split(plain.includes("/") ? "/" : ".").filter(Boolean);
  const last = parts.at(-1) ?? plain;
  return /^\d+$/.test(last) && parts.length > 1 ? `${parts.at(-2)}.${last}` : last;
}

/** Text that fits `length` characters, the middle left out. */
export function shorten(text, length) {
  if (text.length <= length) return text;
  const tail = Math.floor((length - 1) / 2);
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** `text` of a value; null of one that is not known, which lists leave out. */
export function known(value, text) {
  return value === null ? null : text(value);
}

/** The density below which leaving zeros out pays: 0 if it never does. */
export function breakEven(density) {
  return density === 0 ? "never" : percent(density);
}
