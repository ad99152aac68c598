"""Looking at the pipeline of networks that cnnc brings along: what is printed, where it stops, how far it rewrites."""

from __future__ import annotations

import re

import pytest

from tests.cli.command_line import cnnc, done

NETWORKS = ("lenet5", "espcn", "radar1d", "multitask")


@pytest.mark.parametrize("network", NETWORKS)
def test_every_pass_that_changes_something_is_printed(network: str) -> None:
    text = done("compile", f"models:{network}", "--print-after", "all", "--stop-after", "mark-optimised")
    headers = re.findall(r"^// after ([\w-]+)\S*: \d+ -> \d+ nodes$", text, re.M)
    assert "fuse-conv-activation" in headers and "assign-layouts" not in headers
    assert text.count("\ngraph ") + text.startswith("graph ") == len(headers)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_stops_after_a_pass(network: str) -> None:
    before = done("compile", f"models:{network}", "--stop-after", "fuse-conv-residual")
    after = done("compile", f"models:{network}", "--stop-after", "fuse-conv-activation")
    assert "activation=" not in before and "activation=" in after
    assert "stage=normalised" in after


@pytest.mark.parametrize("stage", ["imported", "normalised", "optimised", "placed"])
def test_it_stops_at_a_stage(stage: str) -> None:
    assert f" stage={stage} " in done("compile", "models:lenet5", "--stop-after", stage)


@pytest.mark.parametrize("network", NETWORKS)
def test_rewrites_stop_at_the_limit_and_the_graph_is_still_lowered(network: str) -> None:
    assert "activation=" not in done("compile", f"models:{network}", "--rewrite-limit", 0, "--emit", "ir")
    everything = done("compile", f"models:{network}", "--emit", "ir")
    assert done("compile", f"models:{network}", "--rewrite-limit", 100_000, "--emit", "ir") == everything
    assert "step 0 " in done("compile", f"models:{network}", "--rewrite-limit", 5, "--emit", "program")


def test_a_pass_that_does_not_exist() -> None:
    for option in ("--print-after", "--stop-after"):
        result = cnnc("compile", "models:lenet5", option, "fuse-conv-activatoin")
        assert result.exit_code == 2 and "did you mean fuse-conv-activation" in result.output
