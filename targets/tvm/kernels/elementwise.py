"""A loop over a buffer whose body is an epilogue: vectorized along the last axis, parallel."""

from math import prod

from codesign.targets.tvm.epilogue import Epilogue
from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.tir import Function, PrimFunc

CHUNK = 4096  # elements a task should have at least


def emit(name: str, shape: tuple[int, ...], isa: Isa, epilogue: Epilogue) -> PrimFunc:
    """out[i] = epilogue(i) for every index i of a buffer of `shape`; operands come first.

    When every operand has the output's shape, all axes are walked as one.
    """
    flat = all(o.shape == shape for o in epilogue.operands)
    walked = (prod(shape),) if flat else shape
    f = Function(name)
    operands = tuple(
        f.argument(o.name, walked if flat else o.shape, o.dtype) for o in epilogue.operands
    )
    out = f.argument("out", walked, epilogue.out_dtype)
    last, lanes = walked[-1], isa.f32_lanes
    rows = prod(walked[:-1])
    segment = max(lanes, min(-(-last // lanes) * lanes, max(CHUNK // rows, lanes) // lanes * lanes))
    segments = max(1, last // segment)

    def body(index: tuple[object, ...]) -> None:
        f.store(out, epilogue.apply(None, index, operands), index)

    with f.parallel(rows * segments, "task") as task:
        outer = _unravel(task // segments, walked[:-1])
        start = task % segments * segment
        with f.serial(segment // lanes, "vector") as vector, f.vectorized(lanes) as lane:
            if segment <= last:
                body((*outer, start + vector * lanes + lane))
    rest = last - segments * segment if segment <= last else last
    if rest > 0:
        with f.parallel(rows, "row") as row:
            outer = _unravel(row, walked[:-1])
            whole = rest // lanes
            with f.serial(whole, "vector") as vector, f.vectorized(lanes) as lane:
                if whole:
                    body((*outer, last - rest + vector * lanes + lane))
            with f.serial(rest - whole * lanes, "tail") as tail:
                if rest - whole * lanes:
                    body((*outer, last - rest + whole * lanes + tail))
    return f.build()


def _unravel(flat: object, shape: tuple[int, ...]) -> tuple[object, ...]:
    """The index into `shape` of element number `flat`."""
    index: list[object] = []
    for extent in reversed(shape):
        index.append(flat % extent if extent > 1 else 0)  # type: ignore[operator]
        flat = flat // extent  # type: ignore[operator]
    return tuple(reversed(index))
