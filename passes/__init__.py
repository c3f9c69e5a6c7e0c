"""Passes, reached as `codesign.passes`; the compiler finds them by name in its plugin table."""

if __name__ != "codesign.passes":
    raise ImportError("import this package as codesign.passes, not as passes")
