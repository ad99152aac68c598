"""runtime."""

if __name__ != "cnnc.runtime":
    raise ImportError("import this package as cnnc.runtime: under two names it would be two packages")
