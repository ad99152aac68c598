"""Tables of ``cnnc emulate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnc.cli.console import byte_count, number, print_table, say

if TYPE_CHECKING:
    from cnnc.emulation import CallProfile, Prediction
    from cnnc.runtime.cuda.device_facts import DeviceFacts

_BAR = 30
"""Characters of a bar that stands for the whole time."""


def show_profile(node: str, profile: CallProfile, prediction: Prediction, device: DeviceFacts) -> None:
    """Everything known of one call."""
    counters, resources = profile.counters, profile.resources
    rows = [
        ("blocks", f"{profile.blocks} of {profile.threads} threads, {profile.sampled} were run"),
        ("floating-point operations", number(counters.flops)),
        ("registers of a thread", resources.registers),
        ("spilled bytes of a thread", resources.spilled_bytes),
        ("shared memory of a block", byte_count(resources.shared_bytes)),
        ("sectors of global memory", _against(counters.sectors, counters.least_sectors)),
        ("cycles of shared memory", _against(counters.shared_cycles, counters.least_shared_cycles)),
        ("bank conflicts", counters.conflicts),
        ("branches of warps", f"{counters.branches}, {counters.divergent_branches} of them divergent"),
        ("barriers of blocks", counters.barriers),
        ("weights to read", byte_count(profile.constant_bytes)),
        ("activations to read and write", byte_count(profile.tensor_bytes)),
    ]
    say(f"{node}: {profile.variant}")  # longer than the table is wide
    print_table(["counted on the emulator", ""], rows)
    _show_instructions(profile)
    _show_prediction(profile, prediction, device)


def _show_instructions(profile: CallProfile) -> None:
    issued = profile.counters.issued
    total = sum(issued.values()) or 1
    loop = profile.loop
    inside = {} if loop is None else loop.issued
    inner = max(1, sum(inside.values()))
    rows = [
        (name, count, f"{count / total:.1%}", f"{inside.get(name, 0) / inner:.1%}" if loop is not None else "")
        for name, count in issued.most_common()
    ]
    columns = ["instructions of warps", "issued>", "share>", "share in the hottest loop>"]
    print_table(columns, rows, total=("all", total, "", ""))
    if loop is None:
        say("no loop")
        return
    machine = profile.machine_loop
    say(
        f"hottest loop: lines {loop.first_line} to {loop.last_line} of the PTX, {loop.share:.1%} of all instructions, "
        f"{loop.multiplying_share:.1%} of them multiply and add; "
        f"in machine code {machine.arithmetic} of {machine.total} ({machine.arithmetic_share:.1%})"
    )


def _show_prediction(profile: CallProfile, prediction: Prediction, device: DeviceFacts) -> None:
    from cnnc.emulation import peak_flops

    seconds = prediction.seconds
    rows = [
        (name, f"{part * 1e6:.2f}", "#" * round(_BAR * min(1.0, part / seconds)))
        for name, part in sorted(prediction.parts.items(), key=lambda item: -item[1])
        if part > 0
    ]
    say(f"prediction for {device.name}, not a measurement: how long each resource is busy")
    print_table(["resource", "us>", "share of the call's time"], rows)
    say(
        f"predicted: {seconds * 1e6:.1f} us, bound by {prediction.bound}; "
        f"{prediction.resident_blocks} blocks a multiprocessor ({prediction.occupancy:.0%} of its warps), "
        f"{prediction.waves:.2f} waves; the roofline allows {prediction.roofline_seconds * 1e6:.1f} us"
    )
    if profile.counters.flops:
        rate, peak = profile.counters.flops / seconds, peak_flops(profile, device)
        say(f"predicted rate: {rate / 1e12:.2f} of {peak / 1e12:.1f} tera-operations a second")


def show_calls(found: Sequence[tuple[str, CallProfile, Prediction]], device: DeviceFacts) -> None:
    """One call a line."""
    rows = [
        (
            node,
            profile.variant.kernel,
            profile.blocks,
            _share(profile),
            _ratio(profile.counters.sectors, profile.counters.least_sectors),
            profile.counters.conflicts,
            f"{prediction.occupancy:.0%}",
            f"{prediction.waves:.2f}",
            prediction.bound,
            f"{prediction.seconds * 1e6:.1f}",
            f"{prediction.roofline_seconds * 1e6:.1f}",
        )
        for node, profile, prediction in found
    ]
    columns = [
        *("node", "kernel", "blocks>", "multiplying>", "sectors / least>", "conflicts>"),
        *("occupancy>", "waves>", "bound by", "predicted us>", "roofline us>"),
    ]
    total = sum(prediction.seconds for _, _, prediction in found)
    least = sum(prediction.roofline_seconds for _, _, prediction in found)
    totals = ("all", *[""] * 8, f"{total * 1e6:.1f}", f"{least * 1e6:.1f}")
    print_table(columns, rows, title=f"prediction for {device.name}, not a measurement", total=totals)


def _share(profile: CallProfile) -> str:
    return "" if profile.loop is None else f"{profile.loop.multiplying_share:.0%}"


def _ratio(count: int, least: int) -> str:
    return f"{count / least:.2f}" if least else ""


def _against(count: int, least: int) -> str:
    ratio = _ratio(count, least)
    return f"{count}, {ratio} times the least" if ratio else "none"
