"""C for the ops of small classifiers: the body of a function of float pointers ``in0``, ``in1``, ... and ``out``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from cnnc.ir import Node, Value

Shape = Callable[[Value], tuple[int, ...]]
"""The sizes of a value, as the inputs of this call make them."""


@dataclass(frozen=True)
class CRule:
    """How one op becomes C: what is written, and one sentence why a node cannot be, or None."""

    emit: Callable[[Node, Shape], str]
    refusal: Callable[[Node], str | None] = lambda node: None


def loops(**sizes: int) -> str:
    """Heads of nested loops: ``loops(y=3, x=4)`` counts y to 3, and x to 4 in it."""
    return " ".join(f"for (long {name} = 0; {name} < {size}; {name}++)" for name, size in sizes.items())


def window(node: Node, shape: Shape, kernel: tuple[int, ...], body: str) -> str:
    """``body`` for every pixel (r, c) of the input that a window of the output's pixel (y, x) holds."""
    (height, width), a = shape(node.input(0))[2:], node.attrs
    (sh, sw), (dh, dw), (top, left) = a.strides or (1, 1), a.dilations or (1, 1), (a.pads or (0, 0))[:2]
    return f"""{loops(p=kernel[0], q=kernel[1])} {{
            long r = y * {sh} - {top} + p * {dh}, c = x * {sw} - {left} + q * {dw};
            if (r >= 0 && r < {height} && c >= 0 && c < {width}) {{ {body} }}
        }}"""


def conv(node: Node, shape: Shape) -> str:
    """The definition of convolution: seven loops."""
    (n, ic, h, w), (_, oc, oh, ow), (_, group, *kernel) = shape(node.input(0)), shape(node.output), shape(node.input(1))
    first = f"o / {oc // node.attrs.group} * {group}"
    product = f"""sum += in0[((n * {ic} + {first} + i) * {h} + r) * {w} + c]
                     * in1[((o * {group} + i) * {kernel[0]} + p) * {kernel[1]} + q];"""
    return f"""{loops(n=n, o=oc, y=oh, x=ow)} {{
        float sum = {"0" if node.optional(2) is None else "in2[o]"};
        {loops(i=group)} {window(node, shape, tuple(kernel), product)}
        out[((n * {oc} + o) * {oh} + y) * {ow} + x] = sum;
    }}"""


def conv_by_rows(node: Node, shape: Shape) -> str:
    """The same sums in another order: each tap of a filter is multiplied by whole rows.

    Neighbouring results read neighbouring pixels then, which the compiler turns into vector instructions. The part of a
    row that lies in the image is known when the C is written: no comparison is left.
    """
    (n, ic, h, w), (_, oc, oh, ow), (_, group, kh, kw) = shape(node.input(0)), shape(node.output), shape(node.input(1))
    a = node.attrs
    (sh, sw), (dh, dw), (top, left) = a.strides or (1, 1), a.dilations or (1, 1), (a.pads or (0, 0))[:2]
    taps = []
    for q in range(kw):
        first, last = max(0, -((q * dw - left) // sw)), min(ow, (w - 1 + left - q * dw) // sw + 1)
        source = f"row[x * {sw} + {q * dw - left}]"
        taps.append(f"for (long x = {first}; x < {last}; x++) to[x] += filter[{q}] * {source};")
    return f"""{loops(n=n, o=oc, y=oh)} {{
        float *to = out + ((n * {oc} + o) * {oh} + y) * {ow};
        {loops(x=ow)} to[x] = {"0" if node.optional(2) is None else "in2[o]"};
        {loops(i=group, p=kh)} {{
            long r = y * {sh} - {top} + p * {dh};
            if (r < 0 || r >= {h}) continue;
            const float *row = in0 + ((n * {ic} + o / {oc // a.group} * {group} + i) * {h} + r) * {w};
            const float *filter = in1 + ((o * {group} + i) * {kh} + p) * {kw};
            {(chr(10) + " " * 12).join(taps)}
        }}
    }}"""


def max_pool(node: Node, shape: Shape) -> str:
    """The largest pixel of each window; what it holds of the padding does not count."""
    (n, ch, h, w), (*_, oh, ow) = shape(node.input(0)), shape(node.output)
    compare = f"float v = in0[(i * {h} + r) * {w} + c]; if (v > most) most = v;"
    return f"""{loops(i=n * ch, y=oh, x=ow)} {{
        float most = -INFINITY;
        {window(node, shape, node.attrs.kernel_shape, compare)}
        out[(i * {oh} + y) * {ow} + x] = most;
    }}"""


def gemm(node: Node, shape: Shape) -> str:
    """out[M, N] = alpha * A[M, K] B + beta * C, where B is [K, N] or [N, K], and C has N elements."""
    (m, k), (_, n), a = shape(node.input(0)), shape(node.output), node.attrs
    weight = f"in1[j * {k} + l]" if a.transB else f"in1[l * {n} + j]"
    bias = "" if node.optional(2) is None else f" + {a.beta}f * in2[j]"
    return f"""{loops(i=m, j=n)} {{
        float sum = 0;
        {loops(l=k)} sum += in0[i * {k} + l] * {weight};
        out[i * {n} + j] = {a.alpha}f * sum{bias};
    }}"""


def global_average(node: Node, shape: Shape) -> str:
    """The mean of each plane."""
    n, ch, *pixels = shape(node.input(0))
    sums = f"float sum = 0; {loops(j=prod(pixels))} sum += in0[i * {prod(pixels)} + j];"
    return f"{loops(i=n * ch)} {{ {sums} out[i] = sum / {prod(pixels)}; }}"


def elementwise(formula: str) -> Callable[[Node, Shape], str]:
    """What computes element i of the result from elements i."""
    return lambda node, shape: f"{loops(i=prod(shape(node.output)))} out[i] = {formula};"


def no_plain_window(node: Node) -> str | None:
    """Windows over two axes, sizes rounded down, one result, nothing fused."""
    if node.input(0).type.rank != 4:
        return f"its input has rank {node.input(0).type.rank}, not 4"
    if getattr(node.attrs, "ceil_mode", 0) or len(node.outputs) > 1 or len(node.inputs) > 3:
        return "it rounds sizes up, gives indices, or takes a residual"
    return has_activation(node)


def has_activation(node: Node) -> str | None:
    """An activation that a fusion put into the node."""
    activation = getattr(node.attrs, "activation", None)
    return None if activation is None or activation.is_identity else f"{activation.kind} is fused into it"


def no_plain_gemm(node: Node) -> str | None:
    """A bias of N elements, A as it lies."""
    bias = node.optional(2)
    if node.attrs.transA or (bias is not None and bias.type.shape != node.output.type.shape[1:]):
        return "its first operand is transposed, or what it adds is no row"
    return has_activation(node)


def broadcasts(node: Node) -> str | None:
    """Operands of other shapes than the result's."""
    same = all(value is not None and value.type.shape == node.output.type.shape for value in node.inputs)
    return None if same else "an operand is broadcast"


RULES: Mapping[str, CRule] = {
    "conv": CRule(conv, no_plain_window),
    "max_pool": CRule(max_pool, no_plain_window),
    "global_average_pool": CRule(global_average),
    "gemm": CRule(gemm, no_plain_gemm),
    "add": CRule(elementwise("in0[i] + in1[i]"), broadcasts),
    "relu": CRule(elementwise("in0[i] > 0 ? in0[i] : 0")),
    "flatten": CRule(elementwise("in0[i]")),
}
