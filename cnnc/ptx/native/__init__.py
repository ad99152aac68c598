"""Executes PTX with machine code: the same results and counts as the NumPy meaning, some hundred times as fast.

A warp runs at a time, until it meets a barrier or what only the NumPy meaning can do. Lane-wise instructions are LLVM
vector operations over its 32 lanes (``lanewise``, ``library``); ``program`` encodes an entry as a table of numbers,
``interpreter`` goes through it, ``access`` checks, charges and does loads and stores; both are compiled by Numba.
Whatever is out of the ordinary, such as an access that is out of bounds, is left to the NumPy meaning, which knows what
to say about it (``scheduler``).
"""
