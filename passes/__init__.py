"""passes."""

if __name__ != "cnnc.passes":
    raise ImportError("import this package as cnnc.passes: under two names it would be two packages")
