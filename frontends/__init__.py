"""frontends."""

if __name__ != "cnnc.frontends":
    raise ImportError("import this package as cnnc.frontends: under two names it would be two packages")
