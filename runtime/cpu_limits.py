"""How many threads and processes may be kept busy: CPU affinity, the cgroup's CPU quota and the user's word."""

from __future__ import annotations

import os
from pathlib import Path

from cnnc.errors import OptionError

_CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_threads() -> int:
    """CPUs that this process may run on, cut to its cgroup quota rounded up; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, cpus if quota is None else min(cpus, -int(-quota // 1)))


def compile_jobs() -> int:
    """How many processes compile kernels at once: ``$CNNC_COMPILE_JOBS``, or as many as there are available threads.

    1 compiles in this process, which then has what kernels share in its memory.

    Raises:
        OptionError: the variable is not a positive number.
    """
    text = os.environ.get("CNNC_COMPILE_JOBS", "")
    if not text:
        return available_threads()
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(
            f"CNNC_COMPILE_JOBS={text} is not a number of processes", hint="set it to 1 or more, or unset it"
        )
    return int(text)


def cgroup_quota(root: Path = _CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs' worth of time that the process's cgroup and its parents allow; None where there is no limit.

    cgroup v2: ``cpu.max`` holds ``quota period`` or ``max period``. v1: ``cpu.cfs_quota_us`` is -1 without a limit.
    """
    limits = [limit for folder in _own_groups(root, membership) if (limit := _limit_of(folder)) is not None]
    v1 = root / "cpu"
    quota, period = v1 / "cpu.cfs_quota_us", v1 / "cpu.cfs_period_us"
    if quota.is_file() and period.is_file() and int(quota.read_text()) > 0:
        limits.append(int(quota.read_text()) / int(period.read_text()))
    return min(limits, default=None)


def _own_groups(root: Path, membership: Path) -> list[Path]:
    """Folders of the process's cgroup and of all its parents."""
    path = ""
    if membership.is_file():
        for line in membership.read_text().splitlines():
            if line.startswith("0::"):
                path = line[3:].strip("/")
    folder = root / path
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _limit_of(folder: Path) -> float | None:
    file = folder / "cpu.max"
    if not file.is_file():
        return None
    fields = file.read_text().split()
    if len(fields) != 2 or not fields[0].isdigit() or not fields[1].isdigit():
        return None
    return int(fields[0]) / int(fields[1])
