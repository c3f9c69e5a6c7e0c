"""Shapes of aten: views, cuts, joins, pads."""

from math import prod

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.ops import join, rearrange, shape


def reshaped(call: Call) -> Result:
    """view, reshape, flatten, unflatten: the traced shape tells all."""
    return to_shape(call, call.value(), call.result.shape)


def to_shape(call: Call, x: str, wanted: tuple[int, ...]) -> str:
    """`x` under another shape, as the op that says most about it."""
    given = call.shape(x)
    if given == wanted:
        return x
    if len(given) > 2 and wanted == (given[0], prod(given[1:])):
        return call.emit(shape.Flatten(1), x)
    return call.emit(shape.Reshape(wanted), x)


def unsqueeze(call: Call) -> Result:
    """A new axis of extent 1."""
    return call.emit(shape.ExpandDims((call.axis("dim", call.type().rank + 1),)), call.value())


def squeeze(call: Call) -> Result:
    """Without axes of extent 1 (of those given)."""
    x = call.type()
    axes = tuple(axis for axis in call.axes("dim", x.rank) if x.shape[axis] == 1)
    return call.emit(shape.Squeeze(axes), call.value()) if axes else call.value()


def permute(call: Call) -> Result:
    """Axes in the order `dims`."""
    rank = call.type().rank
    return permuted(call, tuple(axis % rank for axis in call.integers("dims")))


def permuted(call: Call, perm: tuple[int, ...]) -> str:
    """`self` with axes in the order `perm`; nothing if they stay."""
    if perm == tuple(range(len(perm))):
        return call.value()
    return call.emit(shape.Transpose(perm), call.value())


def transpose(call: Call) -> Result:
    """Two axes exchanged; `t` exchanges the only two."""
    rank = call.type().rank
    names = ("dim0", "dim1") if "dim0" in call.arguments else ("axis0", "axis1")
    if names[0] in call.arguments:
        a, b = (call.axis(name, rank) for name in names)
    else:
        a, b = (0, 1) if rank == 2 else (0, 0)
    perm = list(range(rank))
    perm[a], perm[b] = perm[b], perm[a]
    return permuted(call, tuple(perm))


def expand(call: Call) -> Result:
    """Broadcast to the traced shape."""
    wanted = call.result.shape
    if call.type().shape == wanted:
        return call.value()
    return call.emit(shape.Expand(wanted), call.value())


def cut(call: Call, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
    """Elements start, start + step, ... before end; `x` itself if those are all."""
    if (start, end, step) == (0, call.shape(x)[axis], 1):
        return x
    return call.emit(join.Slice((axis,), (start,), (end,), (step,)), x)


def slice_(call: Call) -> Result:
    """A slice along one axis."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    taken = slice(call.get("start"), call.get("end"), call.get("step", 1))
    return cut(call, call.value(), axis, *taken.indices(x.shape[axis]))


def narrow(call: Call) -> Result:
    """`length` elements from `start`."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    start = call.get("start") % max(x.shape[axis], 1)
    return cut(call, call.value(), axis, start, start + call.get("length"))


def select(call: Call) -> Result:
    """One position along an axis, which goes away."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    at = call.get("index") % x.shape[axis]
    one = cut(call, call.value(), axis, at, at + 1)
    return call.emit(shape.Squeeze((axis,)), one)


def split(call: Call) -> Result:
    """split, split_with_sizes and chunk: the traced parts tell the sizes."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    sizes = tuple(int(part.shape[axis]) for part in call.node.meta["val"])
    if len(sizes) == 1:
        return (call.value(),)
    return call.emits(join.Split(axis, sizes), call.value())


def unbind(call: Call) -> Result:
    """One result for each position along an axis."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    op = join.Split(axis, (1,) * x.shape[axis])
    parts = call.emits(op, call.value(), part="part")
    return tuple(call.emit(shape.Squeeze((axis,)), part) for part in parts)


def cat(call: Call) -> Result:
    """The tensors one after the other; empty vectors are left out, as in torch."""
    dtype = call.result.dtype
    parts = [call.cast(call.as_value(tensor), dtype) for tensor in call.get("tensors")]
    parts = [part for part in parts if call.shape(part) != (0,)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    return call.emit(join.Concat(call.axis("dim", len(call.shape(parts[0])))), *parts)


def stack(call: Call) -> Result:
    """The tensors along a new axis."""
    dtype = call.result.dtype
    axis = call.axis("dim", len(call.result.shape))
    grown = [
        call.emit(shape.ExpandDims((axis,)), call.cast(call.as_value(t), dtype), part="part")
        for t in call.get("tensors")
    ]
    return call.emit(join.Concat(axis), *grown)


def repeat(call: Call) -> Result:
    """repeat and tile: copies side by side; repeats may add axes in front."""
    name = "repeats" if "repeats" in call.arguments else "dims"
    x, repeats = call.value(), call.integers(name)
    given = call.shape(x)
    repeats = (1,) * (len(given) - len(repeats)) + repeats
    x = to_shape(call, x, (1,) * (len(repeats) - len(given)) + given)
    return x if set(repeats) <= {1} else call.emit(join.Tile(repeats), x)


def repeat_interleave(call: Call) -> Result:
    """Each element along an axis several times in a row."""
    x, times = call.type(), call.get("repeats")
    if not isinstance(times, int) or not call.given("dim"):
        raise call.refuse("needs one number of repeats and an axis")
    axis = call.axis("dim", x.rank) + 1
    grown = call.emit(shape.ExpandDims((axis,)), call.value(), part="grown")
    wide = call.emit(
        shape.Expand((*x.shape[:axis], times, *x.shape[axis:])), grown, part="repeated"
    )
    return call.emit(shape.Reshape(call.result.shape), wide)


def flip(call: Call) -> Result:
    """Axes reversed."""
    x = call.type()
    axes = call.axes("dims", x.rank)
    count = len(axes)
    starts, ends = (-1,) * count, tuple(-x.shape[axis] - 1 for axis in axes)
    return call.emit(join.Slice(axes, starts, ends, (-1,) * count), call.value())


def roll(call: Call) -> Result:
    """Elements shifted along axes, coming back at the other side."""
    x = call.value()
    shifts, axes = call.integers("shifts"), call.integers("dims")
    if not axes:
        raise call.refuse("without axes")
    for shift, axis in zip(shifts, axes, strict=True):
        axis %= len(call.shape(x))
        extent = call.shape(x)[axis]
        at = -shift % extent
        if at:
            parts = call.emits(join.Split(axis, (at, extent - at)), x, part="part")
            x = call.emit(join.Concat(axis), *reversed(parts))
    return x


def pad(call: Call) -> Result:
    """constant_pad_nd, pad, reflection_pad and replication_pad; negative pads cut."""
    x = call.value()
    flat = list(call.integers("pad" if "pad" in call.arguments else "padding"))
    rank = len(call.shape(x))
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    sides = [(0, 0)] * (rank - len(pairs)) + pairs[::-1]
    for axis, (before, after) in enumerate(sides):
        extent = call.shape(x)[axis]
        x = cut(call, x, axis, max(-before, 0), extent - max(-after, 0))
    pads = tuple((max(before, 0), max(after, 0)) for before, after in sides)
    if not any(map(sum, pads)):
        return x
    return call.emit(join.Pad(pads, pad_mode(call), float(call.get("value") or 0)), x)


def pad_mode(call: Call) -> str:
    """The op's mode for aten's."""
    if "reflection" in call.target:
        return "reflect"
    if "replication" in call.target:
        return "edge"
    modes = {"replicate": "edge", "circular": "wrap"}
    mode = str(call.get("mode", "constant"))
    return modes.get(mode, mode)


def pixel_shuffle(call: Call) -> Result:
    """Channels to space."""
    return call.emit(rearrange.DepthToSpace(call.get("upscale_factor"), "CRD"), call.value())


def pixel_unshuffle(call: Call) -> Result:
    """Space to channels, torch's order [C, b, b]."""
    n, c, h, w = call.type().shape
    b = call.get("downscale_factor")
    cells = call.emit(shape.Reshape((n, c, h // b, b, w // b, b)), call.value(), part="cells")
    turned = call.emit(shape.Transpose((0, 1, 3, 5, 2, 4)), cells, part="turned")
    return call.emit(shape.Reshape(call.result.shape), turned)


def channel_shuffle(call: Call) -> Result:
    """Channels of the groups interleaved."""
    n, c, *space = call.type().shape
    groups = call.get("groups")
    cells = call.emit(shape.Reshape((n, groups, c // groups, *space)), call.value(), part="groups")
    rest = tuple(range(3, 3 + len(space)))
    turned = call.emit(shape.Transpose((0, 2, 1, *rest)), cells, part="turned")
    return call.emit(shape.Reshape(call.result.shape), turned)


def triangle(call: Call, upper: bool) -> Result:
    """triu and tril."""
    return call.emit(rearrange.Trilu(upper, call.get("diagonal", 0)), call.value())
