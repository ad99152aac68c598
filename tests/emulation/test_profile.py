"""Which blocks stand for a grid, what they are scaled to, and the hottest loop of a kernel."""

from __future__ import annotations

from collections import Counter

import pytest

from cnnc.emulation.loops import hottest_loop
from cnnc.emulation.profile import samples, scaled
from cnnc.ptx import Counters, Emulator, parse_ptx
from tests.ptx.snippets import entry


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 6, 7, 100, 12345])
@pytest.mark.parametrize("wanted", [1, 2, 3, 6])
def test_samples_stand_for_all_blocks(blocks: int, wanted: int) -> None:
    found = list(samples(blocks, wanted))
    assert sum(len(numbers) * weight for numbers, weight in found) == pytest.approx(blocks)
    chosen = [number for numbers, _ in found for number in numbers]
    assert len(chosen) == len(set(chosen)) <= max(wanted, 3)
    assert {0, blocks - 1} <= set(chosen) <= set(range(blocks))


def test_counts_are_scaled_and_rounded() -> None:
    counters = Counters(issued=Counter(fma=3, move=1), flops=5, sectors=7, least_sectors=7)
    found = scaled(counters, 2.5)
    assert found.issued == {"fma": 8, "move": 2}
    assert (found.flops, found.sectors, found.barriers) == (12, 18, 0)


LOOPS = """.reg .pred %p, %q; .reg .b32 %i, %j, %k; .reg .f32 %f; mov.u32 %i, 0; mov.f32 %f, 0f00000000; mov.u32 %k, 0;
OUTER: mov.u32 %j, 0;
INNER: fma.rn.f32 %f, %f, %f, %f;
 add.u32 %j, %j, 1; setp.lt.u32 %p, %j, 5; @%p bra INNER;
 add.u32 %i, %i, 1; setp.lt.u32 %q, %i, 3; @%q bra OUTER;
LAST: add.u32 %k, %k, 1; setp.lt.u32 %p, %k, 2; @%p bra LAST; ret;"""


def test_hottest_innermost_loop() -> None:
    module = parse_ptx(entry(LOOPS))
    counters = Emulator(module).launch("kernel", (1,), (64,), [])
    loop = hottest_loop(module.entries["kernel"], counters)
    assert loop is not None
    assert loop.issued == {"fma": 30, "integer": 30, "compare": 30, "control": 30}
    assert loop.multiplying_share == 0.25
    assert loop.last_line == loop.first_line + 1
    assert loop.share == pytest.approx(120 / sum(counters.issued.values()))


def test_no_loop() -> None:
    module = parse_ptx(entry("ret;"))
    assert hottest_loop(module.entries["kernel"], Emulator(module).launch("kernel", (1,), (32,), [])) is None
