"""A drawing in Graphviz's DOT language, with clusters by the hierarchy of names; and what Graphviz makes of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from cnnc.errors import OptionError
from cnnc.ir.drawing.boxes import Drawing
from cnnc.ir.drawing.op_kinds import COLOURS, INPUT, OUTPUT

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def dot_text(drawing: Drawing) -> str:
    """The drawing as a ``digraph``."""
    lines = [
        f"digraph {_quoted(drawing.name)} {{",
        '  node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=8, color="#777777"];',
        *_cluster(drawing, "", range(len(drawing.boxes)), 1),
    ]
    for line in drawing.lines:
        label = f"label={_quoted(line.label)}, " if line.label else ""
        lines.append(f"  n{line.source} -> n{line.target} [{label}tooltip={_quoted(line.tooltip)}];")
    return "\n".join([*lines, "}", ""])


def render(text: str, path: Path) -> None:
    """Write a .png or .pdf file, with Graphviz's ``dot``.

    Raises:
        OptionError: there is no ``dot`` here, or it fails; the message has its words.
    """
    program = shutil.which("dot")
    if program is None:
        what = f"{path.suffix} files are made by Graphviz's dot, which is not installed"
        raise OptionError(what, where="draw", hint="write an .svg or .dot file, or install graphviz")
    kind = path.suffix.removeprefix(".")
    done = subprocess.run(
        [program, f"-T{kind}", "-o", str(path)], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        told = done.stderr.strip() or f"exit code {done.returncode}"
        raise OptionError(f"Graphviz cannot draw it: {told}", where="draw", hint="write an .svg file")


def _cluster(drawing: Drawing, path: str, numbers: range | list[int], depth: int) -> list[str]:
    """Boxes whose group is ``path``, and clusters of those below it."""
    indent = "  " * depth
    lines = [f"{indent}{_box(drawing, number)}" for number in numbers if drawing.boxes[number].group == path]
    below: dict[str, list[int]] = {}
    for number in numbers:
        group = drawing.boxes[number].group
        if group == path:
            continue
        inner = group[len(path) + 1 if path else 0 :].partition("/")[0]
        below.setdefault(f"{path}/{inner}" if path else inner, []).append(number)
    for group, members in below.items():
        name = group.rpartition("/")[2]
        lines.append(f"{indent}subgraph {_quoted(f'cluster {group}')} {{")
        lines.append(f'{indent}  label={_quoted(name)}; color="#bbbbbb"; fontname="sans-serif"; fontsize=9;')
        lines += _cluster(drawing, group, members, depth + 1)
        lines.append(f"{indent}}}")
    return lines


def _box(drawing: Drawing, number: int) -> str:
    box = drawing.boxes[number]
    shape = ", shape=ellipse" if box.kind in (INPUT, OUTPUT) else ""
    label = _quoted(f"{box.title}\n{box.subtitle}")
    return f'n{number} [label={label}, tooltip={_quoted(box.tooltip)}, fillcolor="{COLOURS[box.kind]}"{shape}];'


def _quoted(text: str) -> str:
    """A quoted string. Backslashes would begin escape sequences such as ``\\N``, the node's name."""
    plain = _CONTROL.sub("\ufffd", text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{plain}"'
