"""Work in a few words: the ops of a signature and the shapes that they go from and to."""

import re

BARE = "bare "  # in front of the work of what the profiler measures, layouts left away
_VALUE = re.compile(r"([kxy]\d+): (scalar|\d+(?:x\d+)*) (\w+)((?: \w+<[^>]*>)*)")
_OP = re.compile(r" = ([\w-]+)\(")


def ops_of(work: str) -> str:
    """The ops of a group in order: conv+add+relu."""
    return "+".join(_OP.findall(work))


def shape_of(work: str) -> str:
    """Weights, first input and result: 64x64x3x3 bitmap, 1x64x56x56 -> 1x64x56x56.

    Encodings are named where there are any. Empty for what is no signature of a group (see
    `codesign.mapping.workload.signature`).
    """
    found = [(m[1], f"{m[2]}{_form(m[3], m[4])}") for m in _VALUE.finditer(work)]
    weights = [shown for name, shown in found if name[0] == "k" and "x" in shown.split()[0]]
    inputs = [shown for name, shown in found if name == "x0"]
    results = [shown for name, shown in found if name[0] == "y"]
    if not results:
        return ""
    return f"{', '.join(weights + inputs)} -> {results[-1]}".lstrip()


def _form(dtype: str, encodings: str) -> str:
    """What is not plain f32."""
    words = [] if dtype == "f32" else [dtype]
    for kind, settings in re.findall(r"(\w+)<([^>]*)>", encodings):
        width = re.search(r"width=(\d+)", settings)
        words.append(f"int{width[1] if width else 8}" if kind == "int" else kind)
    return "".join(f" {word}" for word in words)
