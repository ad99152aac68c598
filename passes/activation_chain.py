"""What the recognize-<activation> passes share: a chain over one value becomes one activation op."""

from __future__ import annotations

from collections.abc import Iterable

from cnnc.ir import NO_ATTRS, Attrs, Match, Op, Patch, Rule


def activation_rules(name: str, op: str, patterns: Iterable[Op], attrs: Attrs = NO_ATTRS) -> tuple[Rule, ...]:
    """A rule for each pattern over ``x`` that spells ``op``; refused where a constant broadcasts x or x is no float."""

    def apply(found: Match, patch: Patch) -> str | None:
        x = found["x"]
        if not x.type.dtype.is_float:
            return f"%{x.name} is {x.type.dtype.value}, not a float"
        if x.type.shape != found.root.output.type.shape:
            return f"a constant of the chain broadcasts %{x.name} {x.type} to {found.root.output.type}"
        patch.replace(found.root.output, patch.node(op, [x], attrs, loc=found.loc))
        return None

    return tuple(Rule(name, pattern, apply) for pattern in patterns)
