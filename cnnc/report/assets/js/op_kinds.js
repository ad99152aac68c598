/** Kinds of ops, which decide colours in the graph and in the plots. The first kind counts that fits the name. */

const MOVES = [
  "concat split slice transpose reshape flatten squeeze gather scatter pad expand tile copy convert shuffle",
  "depth_to space_to identity cast dims shape",
];

const KINDS = [
  ["quantize", "quantization", /quantize/],
  ["conv", "convolution", /conv(?!ert)/],
  ["matmul", "matrix product", /gemm|matmul|einsum|lstm|gru|rnn/],
  ["norm", "normalization", /normalization|lrn|scale_shift/],
  ["pool", "pooling and reduction", /pool|reduce_|arg_m|top_k|resize|softmax|hardmax/],
  ["activation", "activation", /relu|sigmoid|tanh|gelu|swish|mish|elu|softplus|softsign|clip|erf/],
  ["move", "data movement", new RegExp(MOVES.join(" ").replaceAll(" ", "|"))],
  ["elementwise", "element-wise and other", /^/],
];

/** The kind of an op: one of "conv", "matmul", ..., "elementwise". */
export function opKind(op) {
  return KINDS.find(([, , pattern]) => pattern.test(op))[0];
}

/** What a kind is called in a legend. */
export function kindTitle(kind) {
  return KINDS.find(([name]) => name === kind)[1];
}

/** Kinds that occur among ops, in the order of a legend. */
export function kindsOf(ops) {
  const present = new Set(ops.map(opKind));
  return KINDS.map(([name]) => name).filter((name) => present.has(name));
}
