"""Copies of elements from place to place: out[f(i)] = in[g(i)] over boxes of indices.

Transposing, slicing, padding, joining, cutting, repeating and gathering are boxes whose axes each
step through both buffers by a constant, or through the input by a table. Neighbouring axes that
step alike are walked as one, so that what is contiguous is copied by whole vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tvm import tirx

from codesign.targets.tvm.isa import Isa
from codesign.targets.tvm.kernels.elementwise import walk
from codesign.targets.tvm.tir import Buffer, Expr, Function, PrimFunc, load


@dataclass(frozen=True)
class Table:
    """Positions along an axis of the input: argument number `buffer`, of `shape` and `dtype`.

    `step` is the distance between positions in the input, `extent` the axis' extent. Positions
    from run time (`wrap`) may count from the end and are kept inside the input.
    """

    buffer: int
    step: int
    extent: int
    wrap: bool = False


@dataclass(frozen=True)
class Move:
    """Elements of input `source` copied to output `target` over a box of `extents`.

    Axis i moves by `reads[i]` in the input, or by its table's, and by `writes[i]` in the output,
    in elements, from the offsets `first` and `start` on.
    """

    source: int
    target: int
    extents: tuple[int, ...]
    reads: tuple[int | Table, ...]
    writes: tuple[int, ...]
    first: int = 0
    start: int = 0

    def simplified(self) -> "Move":
        """The same elements with fewer axes, those that the output has closest together last."""
        whole = zip(self.extents, self.reads, self.writes, strict=True)
        axes = [(w, r, e) for e, r, w in whole if e != 1 or isinstance(r, Table)]
        axes.sort(key=lambda axis: -axis[0])
        done: list[tuple[int, int | Table, int]] = []
        for write, read, extent in axes:
            if done and not isinstance(read, Table) and not isinstance(done[-1][1], Table):
                outer_write, outer_read, outer = done[-1]
                if (outer_write, outer_read) == (write * extent, read * extent):
                    done[-1] = (write, read, outer * extent)
                    continue
            done.append((write, read, extent))
        done = done or [(1, 1, 1)]
        return Move(
            self.source,
            self.target,
            tuple(extent for _, _, extent in done),
            tuple(read for _, read, _ in done),
            tuple(write for write, _, _ in done),
            self.first,
            self.start,
        )


@dataclass(frozen=True)
class Remap:
    """Buffers in order of the arguments (inputs and tables, then outputs) and what is moved.

    `fill`: the outputs are set to it first.
    """

    inputs: tuple[tuple[tuple[int, ...], str], ...]
    outputs: tuple[tuple[tuple[int, ...], str], ...]
    moves: tuple[Move, ...]
    fill: float | None = field(default=None)


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Elements between neighbours along each axis of a compact buffer."""
    steps: list[int] = []
    size = 1
    for extent in reversed(shape):
        steps.insert(0, size)
        size *= extent
    return tuple(steps)


def emit(name: str, remap: Remap, isa: Isa) -> PrimFunc:
    """The kernel that makes all moves of `remap`."""
    f = Function(name)
    inputs = [f.argument(f"x{i}", s or (1,), d) for i, (s, d) in enumerate(remap.inputs)]
    outputs = [f.argument(f"out{i}", s or (1,), d) for i, (s, d) in enumerate(remap.outputs)]
    if remap.fill is not None:
        for out in outputs:
            _fill(f, out, remap.fill, isa)
    for move in remap.moves:
        _move(f, move.simplified(), inputs, outputs[move.target], isa)
    return f.build()


def lanes_of(dtype: str, isa: Isa) -> int:
    """Elements of `dtype` that one vector register holds."""
    bits = 8 if dtype == "bool" else int("".join(c for c in dtype if c.isdigit()))
    return isa.vector_bits // bits


def _fill(f: Function, out: Buffer, value: float, isa: Isa) -> None:
    size = 1
    for extent in out.shape:
        size *= int(extent)
    content = tirx.const(value if out.dtype.startswith("float") else int(value), out.dtype)
    walk(f, (size,), [[0]], lanes_of(out.dtype, isa), lambda i: _put(f, out, content, i[0]))


def _put(f: Function, out: Buffer, value: Expr, offset: Expr) -> None:
    f.store(out, value, (*[0] * (len(out.shape) - 1), offset))


def _move(f: Function, move: Move, inputs: list[Buffer], out: Buffer, isa: Isa) -> None:
    x = inputs[move.source]

    def body(index: tuple[Expr, ...]) -> None:
        source, target = move.first, move.start
        for i, read, write in zip(index, move.reads, move.writes, strict=True):
            source = source + (_looked_up(inputs, read, i) if isinstance(read, Table) else i * read)
            target = target + i * write
        _put(f, out, load(x, (*[0] * (len(x.shape) - 1), source)), target)

    runs = [[axis] for axis in range(len(move.extents))]
    # Only contiguous stores become vectors: without them, one element at a time.
    lanes = lanes_of(out.dtype, isa) if move.writes[-1] == 1 else 1
    walk(f, move.extents, runs, lanes, body)


def _looked_up(inputs: list[Buffer], table: Table, i: Expr) -> Any:
    buffer = inputs[table.buffer]
    found = load(buffer, (*[0] * (len(buffer.shape) - 1), i))
    if not table.wrap:
        return found * table.step
    position = found.astype("int32")
    position = tirx.Select(position < 0, position + table.extent, position)
    return tirx.max(0, tirx.min(position, table.extent - 1)) * table.step
