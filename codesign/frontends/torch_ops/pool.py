"""Pools and resizing of aten."""

import numpy as np

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.ops import pool, reduce
from codesign.ir.ops.convolution import Pads
from codesign.ir.ops.elementwise import Mul
from codesign.ir.ops.join import Pad
from codesign.ir.ops.matmul import MatMul
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.shape import ExpandDims, Squeeze


def _window(call: Call) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
    """kernel, strides, dilations and the number of spatial axes."""
    rank = int(str(call.node.target).split("pool")[1][0])
    kernel = call.integers("kernel_size", rank)
    strides = call.integers("stride", rank) if call.get("stride") else kernel
    dilation = call.integers("dilation", rank) if "dilation" in call.arguments else (1,) * rank
    return kernel, strides, dilation, rank


def _batched(call: Call, rank: int) -> tuple[str, bool]:
    x = call.value()
    if len(call.shape(x)) == rank + 2:
        return x, False
    return call.emit(ExpandDims((0,)), x, part="batch"), True


def _pads(call: Call, x: str) -> Pads:
    """Explicit pads of `padding`, `ceil_mode` included."""
    kernel, strides, dilation, rank = _window(call)
    even = tuple((pad, pad) for pad in call.integers("padding", rank))
    if not call.get("ceil_mode"):
        return even
    windows = zip(call.shape(x)[2:], kernel, strides, even, dilation, strict=True)
    return tuple(pool.ceil_pads(*window) for window in windows)


def max_pool(call: Call) -> Result:
    """max_pool1d, 2d and 3d."""
    return _max_pool(call, indices=False)[0]


def max_pool_with_indices(call: Call) -> Result:
    """With the positions; nothing can use those (unpooling is not supported)."""
    return (*_max_pool(call, indices=False), None)


def _max_pool(call: Call, indices: bool) -> tuple[str, ...]:
    kernel, strides, dilation, rank = _window(call)
    x, added = _batched(call, rank)
    op = pool.MaxPool(kernel, strides, _pads(call, x), dilation, indices)
    results = call.emits(op, x)
    return tuple(call.emit(Squeeze((0,)), y) for y in results) if added else results


def avg_pool(call: Call) -> Result:
    """avg_pool1d, 2d and 3d.

    Padding that counts becomes a pad of its own where a ceil mode adds padding that does not.
    """
    kernel, strides, dilation, rank = _window(call)
    x, added = _batched(call, rank)
    even = tuple((pad, pad) for pad in call.integers("padding", rank))
    pads, counts = _pads(call, x), bool(call.get("count_include_pad", True))
    if counts and pads != even and any(map(sum, even)):
        x = call.emit(Pad(((0, 0), (0, 0), *even)), x, part="padded")
        pads = tuple((0, after - even[i][1]) for i, (_, after) in enumerate(pads))
    counts = counts and pads == even
    y = call.emit(pool.AvgPool(kernel, strides, pads, dilation, counts), x)
    if call.get("divisor_override"):
        y = _redivided(call, y, kernel, pads, counts)
    return call.emit(Squeeze((0,)), y) if added else y


def _redivided(call: Call, y: str, kernel: tuple[int, ...], pads: Pads, counts: bool) -> str:
    if any(map(sum, pads)) and not counts:
        raise call.refuse("has both divisor_override and padding that is not counted")
    factor = float(np.prod(kernel)) / call.get("divisor_override")
    return call.emit(Mul(), y, call.scalar(factor, call.result.dtype, "divisor"))


def adaptive_avg_pool(call: Call) -> Result:
    """Means over nearly equal parts of each axis: a reduction, a pool, or a product."""
    rank = int(call.target.split("pool")[1][0])
    x, added = _batched(call, rank)
    extents = call.shape(x)[2:]
    wanted = call.integers("output_size", rank)
    sizes = tuple(extents[i] if s is None else s for i, s in enumerate(wanted))
    y = _adaptive(call, x, extents, sizes)
    return call.emit(Squeeze((0,)), y) if added else y


def _adaptive(call: Call, x: str, extents: tuple[int, ...], sizes: tuple[int, ...]) -> str:
    if sizes == extents:
        return x
    if set(sizes) == {1}:
        return call.emit(reduce.ReduceMean(tuple(range(2, 2 + len(sizes)))), x)
    if all(e % s == 0 for e, s in zip(extents, sizes, strict=True)):
        kernel = tuple(e // s for e, s in zip(extents, sizes, strict=True))
        op = pool.AvgPool(kernel, kernel, ((0, 0),) * len(sizes), (1,) * len(sizes))
        return call.emit(op, x)
    if len(sizes) > 2:
        raise call.refuse(f"from {extents} to {sizes}, which do not divide")
    matrices = [_means(e, s) for e, s in zip(extents, sizes, strict=True)]
    y = call.emit(MatMul(), x, call.constant(matrices[-1].T.copy(), f"{call.name}.columns"))
    if len(sizes) == 1:
        return y
    return call.emit(MatMul(), call.constant(matrices[0], f"{call.name}.rows"), y)


def _means(extent: int, size: int) -> np.ndarray:
    """The matrix [size, extent] of torch's adaptive windows."""
    matrix = np.zeros((size, extent), np.float32)
    for i in range(size):
        begin, end = i * extent // size, -(-(i + 1) * extent // size)
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix


def adaptive_max_pool(call: Call) -> Result:
    """Maxima over equal parts of each axis, and no positions."""
    rank = int(call.target.split("pool")[1][0])
    x, added = _batched(call, rank)
    extents, sizes = call.shape(x)[2:], call.integers("output_size", rank)
    if any(e % s for e, s in zip(extents, sizes, strict=True)):
        raise call.refuse(f"from {extents} to {sizes}, which do not divide")
    kernel = tuple(e // s for e, s in zip(extents, sizes, strict=True))
    op = pool.MaxPool(kernel, kernel, ((0, 0),) * rank, (1,) * rank)
    y = call.emit(op, x)
    y = call.emit(Squeeze((0,)), y) if added else y
    return y, None


def upsample(call: Call, mode: str) -> Result:
    """upsample_nearest, linear, bilinear, trilinear and bicubic."""
    shape = call.result.shape
    x = call.type()
    corners = bool(call.get("align_corners"))
    if mode == "nearest":
        coordinates = "half_pixel" if "exact" in call.target else "asymmetric"
    else:
        coordinates = "align_corners" if corners else "half_pixel"
    rounding = "round_prefer_ceil" if "exact" in call.target else "floor"
    scales = _scales(call, x.rank, shape, x.shape)
    smooth = call.target.endswith(("_aa.default", "_aa.vec"))
    op = Resize(
        shape,
        scales,
        mode,
        coordinates,
        rounding,
        exclude_outside=smooth,
        antialias=smooth,
        cubic=-0.5 if smooth else -0.75,
    )
    return call.emit(op, call.value())


def _scales(
    call: Call, rank: int, shape: tuple[int, ...], given: tuple[int, ...]
) -> tuple[float, ...]:
    """Scales that were given as such and are not just the ratio of the sizes."""
    factors = call.get("scale_factors")
    single = [call.get(name) for name in ("scales", "scales_d", "scales_h", "scales_w")]
    found = factors if factors else [scale for scale in single if scale is not None]
    if not found or any(scale is None for scale in found):
        return ()
    scales = (1.0,) * (rank - len(found)) + tuple(map(float, found))
    same = all(s * g == size for s, g, size in zip(scales, given, shape, strict=True))
    return () if same else scales
