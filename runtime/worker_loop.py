"""The compiled loop in which segments run: one function that callers and worker threads all execute.

Protocol (one control block per pool, one job at a time):
- ``claim`` is one 64-bit word: ``epoch << 24 | chunks << 16 | front << 8 | back``. Workers of even index claim chunks
  from the front, ``front`` so far, the others from the back: two workers get one half each, of every instruction the
  same, so that much of what a worker reads is in its own cache. A claim takes half of a worker's even share of what is
  left: few claims, and of one chunk at the end, so that workers are done at the same time (guided self-scheduling:
  Polychronopoulos and Kuck, "Guided Self-Scheduling: A Practical Scheduling Scheme for Parallel Supercomputers", 1987,
  which takes a whole share). The epoch counts instructions since the pool began, so
  a compare-and-swap that takes a chunk of an instruction cannot succeed for a later one. A worker that was descheduled
  between looking and claiming simply fails and looks again: nobody waits for a worker that holds no chunk, and job and
  table are only read by a worker that does.
- ``done`` counts finished chunks. Who finishes the last one publishes the next instruction, or ``chunks = 0`` after
  the last: the job is over and the caller, who is worker 0, returns.
- Waiting: spin with the CPU's pause hint, then ``sched_yield``, then sleep. While a job runs, sleeps are short and
  timed, so publishing costs no system call; between jobs workers sleep on the futex word ``wake`` until one is posted.
  Where there is no futex all sleeps are polls.

The loop calls nothing but the kernels and the C functions whose addresses the control block holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnnc.runtime.kernel import KernelDef, Params, Target

ROLE_ALONE, ROLE_CALLER, ROLE_WORKER, ROLE_WAKE = range(4)
"""Passed as ``end``; ``begin`` is the worker's index. ``args`` is a job block for the first two, else the control."""

# Instruction row, in 8-byte slots.
ROW_SLOTS = 8
ROW_KERNEL, ROW_ARGS, ROW_ITEMS, ROW_CHUNK_ITEMS, ROW_CHUNKS = range(5)

# Job block, in 8-byte slots; private to one call.
JOB_SLOTS = 8
JOB_TABLE, JOB_COUNT, JOB_SCRATCH, JOB_SCRATCH_STRIDE, JOB_FP_MODE, JOB_CONTROL = range(6)

# Control block, in 8-byte slots. Words that different workers write lie 128 bytes apart: no false sharing, and the
# adjacent-line prefetcher does not couple them either.
CONTROL_SLOTS = 96
CLAIM, DONE, JOB, INDEX, CAP = 0, 16, 32, 33, 34
WAKE, SLEEPERS, STOP = 48, 64, 65
SYSCALL, YIELD, SLEEP, FUTEX_NUMBER, TIMEOUT, SPINS, YIELDS, SHORT_SLEEP, LONG_SLEEP = (
    80,
    81,
    82,
    83,
    84,
    86,
    87,
    88,
    89,
)
"""``TIMEOUT`` is a ``struct timespec`` of two slots. ``SYSCALL`` is 0 where there is no futex; ``SLEEP`` then takes
``SHORT_SLEEP`` while a job runs and ``LONG_SLEEP`` between jobs, in the units of the system's function."""

_FUTEX_WAIT_PRIVATE, _FUTEX_WAIT_BITSET_PRIVATE, _FUTEX_WAKE_BITSET_PRIVATE = 128, 128 + 9, 128 + 10
_EVERY_WORKER = 2**31 - 1


def build(target: Target, params: Params) -> Callable[..., Any]:
    """The loop, to be compiled with a kernel's signature ``(args, begin, end, scratch)``."""
    from cnnc.runtime.loop_intrinsics import intrinsics_for

    ops = intrinsics_for(target.triple)
    load, store, load_acquire, store_release = ops.load, ops.store, ops.load_acquire, ops.store_release
    load_acquire32, compare_exchange, fetch_add = ops.load_acquire32, ops.compare_exchange, ops.fetch_add
    fetch_add32, pause, call_kernel = ops.fetch_add32, ops.pause, ops.call_kernel
    call_c, get_fp_mode, set_fp_mode = ops.call_c, ops.get_fp_mode, ops.set_fp_mode
    address_of = ops.address_of

    def worker_loop(args: Any, begin: Any, end: Any, scratch: Any) -> None:
        block = address_of(args)
        if end == ROLE_ALONE:
            saved = get_fp_mode()
            set_fp_mode(load(block + 8 * JOB_FP_MODE))
            row = load(block + 8 * JOB_TABLE)
            scratch_base = load(block + 8 * JOB_SCRATCH)
            for _ in range(load(block + 8 * JOB_COUNT)):
                store(scratch_base, 0)
                call_kernel(
                    load(row + 8 * ROW_KERNEL), load(row + 8 * ROW_ARGS), 0, load(row + 8 * ROW_ITEMS), scratch_base
                )
                row += 8 * ROW_SLOTS
            set_fp_mode(saved)
            return

        control = block
        if end == ROLE_CALLER:
            control = load(block + 8 * JOB_CONTROL)
            store(control + 8 * JOB, block)
            store(control + 8 * INDEX, 0)
            store(control + 8 * DONE, 0)
            epoch = (load(control + 8 * CLAIM) >> 24) + 1
            chunks = load(load(block + 8 * JOB_TABLE) + 8 * ROW_CHUNKS)
            store_release(control + 8 * CLAIM, (epoch << 24) | (chunks << 16))
        if end in (ROLE_CALLER, ROLE_WAKE):
            # The bump comes before the look at the sleepers, and a worker enters the sleepers before the kernel
            # compares the word: one of the two sees the other.
            fetch_add32(control + 8 * WAKE, 1)
            if load_acquire(control + 8 * SLEEPERS) > 0 and load(control + 8 * SYSCALL) != 0:
                # Bit 30 stands for all workers from index 30 on.
                cap = load(control + 8 * CAP)
                mask = (1 << min(cap, 31)) - 1
                call_c(
                    load(control + 8 * SYSCALL),
                    load(control + 8 * FUTEX_NUMBER),
                    control + 8 * WAKE,
                    _FUTEX_WAKE_BITSET_PRIVATE,
                    _EVERY_WORKER,
                    0,
                    0,
                    mask,
                )
            if end == ROLE_WAKE:
                return

        worker = begin
        spins = load(control + 8 * SPINS)
        yields = load(control + 8 * YIELDS)
        saved = get_fp_mode()
        mode = saved
        idle = 0
        scratch_epoch = -1  # the instruction whose content lies in this worker's scratch
        while True:
            wake = load_acquire32(control + 8 * WAKE)
            word = load_acquire(control + 8 * CLAIM)
            chunks = (word >> 16) & 255
            front = (word >> 8) & 255
            back = word & 255
            cap = load(control + 8 * CAP)
            may_claim = chunks != 0 and worker < cap
            if chunks == 0 and end == ROLE_CALLER:
                break
            if load(control + 8 * STOP) != 0 and end == ROLE_WORKER:
                break
            if may_claim and front + back < chunks:
                count = max(1, (chunks - front - back) // (2 * cap))
                claimed = front
                taken = word + (count << 8)
                if worker & 1:
                    claimed = chunks - back - count
                    taken = word + count
                if not compare_exchange(control + 8 * CLAIM, word, taken):
                    continue
                idle = 0
                job = load(control + 8 * JOB)
                index = load(control + 8 * INDEX)
                wanted = load(job + 8 * JOB_FP_MODE)
                if mode != wanted:
                    set_fp_mode(wanted)
                    mode = wanted
                row = load(job + 8 * JOB_TABLE) + index * (8 * ROW_SLOTS)
                chunk_items = load(row + 8 * ROW_CHUNK_ITEMS)
                first = claimed * chunk_items
                own_scratch = load(job + 8 * JOB_SCRATCH) + worker * load(job + 8 * JOB_SCRATCH_STRIDE)
                if scratch_epoch != word >> 24:
                    store(own_scratch, 0)
                    scratch_epoch = word >> 24
                call_kernel(
                    load(row + 8 * ROW_KERNEL),
                    load(row + 8 * ROW_ARGS),
                    first,
                    min(first + count * chunk_items, load(row + 8 * ROW_ITEMS)),
                    own_scratch,
                )
                if fetch_add(control + 8 * DONE, count) + count == chunks:
                    # Nobody else holds a chunk: job, index and done are this worker's until it publishes.
                    index += 1
                    following = 0
                    if index < load(job + 8 * JOB_COUNT):
                        following = load(row + 8 * (ROW_SLOTS + ROW_CHUNKS))
                        store(control + 8 * INDEX, index)
                        store(control + 8 * DONE, 0)
                    store_release(control + 8 * CLAIM, (((word >> 24) + 1) << 24) | (following << 16))
                continue
            idle += 1
            if idle < spins:
                pause()
            elif idle < spins + yields:
                call_c(load(control + 8 * YIELD), 0, 0, 0, 0, 0, 0, 0)
            elif load(control + 8 * SYSCALL) == 0:
                length = load(control + 8 * (SHORT_SLEEP if may_claim else LONG_SLEEP))
                call_c(load(control + 8 * SLEEP), length, 0, 0, 0, 0, 0, 0)
            elif may_claim:
                call_c(
                    load(control + 8 * SYSCALL),
                    load(control + 8 * FUTEX_NUMBER),
                    control + 8 * WAKE,
                    _FUTEX_WAIT_PRIVATE,
                    wake,
                    control + 8 * TIMEOUT,
                    0,
                    0,
                )
            else:
                fetch_add(control + 8 * SLEEPERS, 1)
                call_c(
                    load(control + 8 * SYSCALL),
                    load(control + 8 * FUTEX_NUMBER),
                    control + 8 * WAKE,
                    _FUTEX_WAIT_BITSET_PRIVATE,
                    wake,
                    0,
                    0,
                    1 << min(worker, 30),
                )
                fetch_add(control + 8 * SLEEPERS, -1)
                idle = 0
        if mode != saved:
            set_fp_mode(saved)

    return worker_loop


KERNEL = KernelDef(
    name="worker_loop",
    buffers=(),
    sizes=(),
    build=build,
    items=lambda sizes, params: 0,
    footprint=lambda sizes, params: (),
)
"""Compiled and cached like a kernel; never part of a program."""
