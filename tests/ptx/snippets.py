"""Runs a few instructions on one warp: registers come from arrays, and go back to arrays.

Everything runs on machine code and on the NumPy meaning, which must agree in all results, counts and errors.
"""

import numpy as np

from cnnc.errors import UserError
from cnnc.ptx import Emulator, parse_ptx
from cnnc.ptx.types import DTYPES

_HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"


def entry(body, params="", name="kernel", before=""):
    """A module of one entry."""
    return f"{_HEADER}{before}\n.visible .entry {name}({params})\n{{\n{body}\n}}\n"


def launch_both(text, arrays, names, blocks, threads, numbers=(), shared=0):
    """Counters of one launch of ``kernel`` over ``arrays``, which it changes in place."""
    module = parse_ptx(text)
    copies = [array.copy() for array in arrays]

    def launch(own, native):
        emulator = Emulator(module, native=native)
        addresses = [emulator.memory.allocate(array, name) for array, name in zip(own, names, strict=True)]
        arguments = [*addresses, *numbers]
        return emulator.launch("kernel", (blocks,), (threads,), arguments, dynamic_shared=shared)

    try:
        counters = launch(arrays, True)
    except UserError as error:
        try:
            launch(copies, False)
        except type(error) as other:
            # Of several races another may be the first.
            assert str(other) == str(error) or ("a race" in str(other) and "a race" in str(error))
            raise
        raise AssertionError("the NumPy meaning raises nothing") from error
    assert launch(copies, False) == counters
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    return counters


def run_snippet(body, inputs, outputs, threads=32, registers=""):
    """Arrays of the registers ``outputs`` (name -> type) after ``body``; ``inputs`` is name -> (type, array).

    Every thread's input and output registers lie in global arrays: one element a thread.
    """
    lines = [".reg .b64 %address<64>; .reg .b32 %thread; .reg .b64 %wide;", registers]
    params, loads, stores = [], [], []
    arrays = {
        name: np.ascontiguousarray(np.broadcast_to(array, threads).astype(DTYPES[kind]))
        for name, (kind, array) in inputs.items()
    }
    arrays |= {f"out {name}": np.zeros(threads, DTYPES[kind]) for name, kind in outputs.items()}
    kinds = {name: kind for name, (kind, _) in inputs.items()} | {f"out {name}": kind for name, kind in outputs.items()}
    for number, (name, kind) in enumerate(kinds.items()):
        params.append(f".param .u64 p{number}")
        size = DTYPES[kind].itemsize
        loads.append(
            f"ld.param.u64 %address{number}, [p{number}]; mad.lo.u64 %address{number}, %wide, {size}, %address{number};"
        )
        if name.startswith("out "):
            stores.append(f"st.global.{_stored(kind)} [%address{number}], {name[4:]};")
        else:
            lines.append(f".reg .{kind} {name};")
            loads.append(f"ld.global.{_stored(kind)} {name}, [%address{number}];")
    lines += [f".reg .{kind} {name};" for name, kind in outputs.items() if name not in inputs]
    lines += ["mov.u32 %thread, %tid.x; cvt.u64.u32 %wide, %thread;", *loads, body, *stores, "ret;"]
    counters = launch_both(entry("\n".join(lines), ", ".join(params)), [*arrays.values()], [*arrays], 1, threads)
    return {name: arrays[f"out {name}"] for name in outputs}, counters


def _stored(kind):
    return {"f16": "b16", "bf16": "b16", "f16x2": "b32", "bf16x2": "b32", "tf32": "b32"}.get(kind, kind)
