"""From kernels to machine code: Numba function, LLVM IR, position-independent blob, executable memory; and a cache."""
