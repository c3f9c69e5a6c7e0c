"""Convolutions, pools and resampling."""

from collections.abc import Callable, Sequence

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Converter, Table
from codesign.frontends.onnx.families.window import (
    Window,
    explicit_pads,
    halves,
    per_axis,
    spatial_rank,
    window,
)
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.op import Op
from codesign.ir.ops import elementwise, pool, reduce, unary
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.join import Pad


def kernel_of(call: Call, weight: Value) -> tuple[int, ...]:
    """Spatial extents of the weight, which kernel_shape must repeat if it is given."""
    kernel = weight.shape[2:]
    if call.integers("kernel_shape", kernel) != kernel:
        raise InvalidModelError(
            f"{describe(call.node)}: kernel_shape {list(call.integers('kernel_shape'))[:8]} is not "
            f"that of its weight {list(weight.shape)}"
        )
    return kernel


def conv_op(call: Call, weight: Value) -> Conv:
    """The convolution that a node's attributes and its weight describe."""
    found = window(call, kernel_of(call, weight))
    return Conv(found.strides, found.pads, found.dilations, call.integer("group", 1))


def conv(call: Call) -> Value:
    """Conv."""
    x, weight = call.x(), call.x(1)
    return call.op(conv_op(call, weight), x, weight, call.get(2))


def conv_transpose(call: Call) -> Value:
    """ConvTranspose, its pads computed from output_shape or auto_pad if those are given."""
    x, weight, rank = call.x(), call.x(1), spatial_rank(call)
    kernel = kernel_of(call, weight)
    strides = per_axis(call, "strides", rank, 1)
    dilations = per_axis(call, "dilations", rank, 1)
    extra = per_axis(call, "output_padding", rank, 0)
    pads, auto = explicit_pads(call, rank), call.text("auto_pad", "NOTSET")
    wanted = call.integers("output_shape", ())
    if not wanted and auto in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(e * s for e, s in zip(x.shape[2:], strides, strict=True))
    if wanted:
        sizes = wanted[-rank:]
        totals = [
            strides[i] * (x.shape[i + 2] - 1)
            + extra[i]
            + (kernel[i] - 1) * dilations[i]
            + 1
            - sizes[i]
            for i in range(rank)
        ]
        if min(totals) < 0 and not call.has("output_shape"):
            raise call.refuse(
                f"a kernel {list(kernel)} smaller than the strides {list(strides)}: the standard "
                "and implementations disagree on the size; give output_shape or pads instead",
                "auto_pad",
            )
        extra = tuple(e + max(-total, 0) for e, total in zip(extra, totals, strict=True))
        pads = tuple(halves(max(total, 0), auto == "SAME_UPPER") for total in totals)
    elif auto == "VALID":
        pads = ((0, 0),) * rank
    op = ConvTranspose(strides, pads, dilations, extra, call.integer("group", 1))
    return call.op(op, x, weight, call.get(2))


def _pool_window(call: Call) -> Window:
    return window(call, call.integers("kernel_shape"))


def max_pool(call: Call) -> Sequence[Value]:
    """MaxPool."""
    found, wanted = _pool_window(call), call.wanted > 1
    if call.integer("storage_order", 0) and wanted:
        raise call.refuse("storage_order=1 with positions", "storage_order")
    op = pool.MaxPool(found.kernel, found.strides, found.overhang, found.dilations, wanted)
    return call.emit.results(op, call.x())


def average_pool(call: Call) -> Value:
    """AveragePool. What a ceil mode adds never counts, even if other padding does."""
    found, x = _pool_window(call), call.x()
    count = bool(call.integer("count_include_pad", 0))
    pads = found.overhang
    if count and found.overhang != found.pads:
        x = call.op(Pad(((0, 0), (0, 0), *found.pads)), x)
        pairs = zip(found.overhang, found.pads, strict=True)
        pads, count = tuple((0, after[1] - before[1]) for after, before in pairs), False
    return call.op(pool.AvgPool(found.kernel, found.strides, pads, found.dilations, count), x)


def lp_pool(call: Call) -> Value:
    """LpPool."""
    found, p = _pool_window(call), float(call.integer("p", 2))
    op = pool.LpPool(found.kernel, found.strides, found.overhang, found.dilations, p)
    return call.op(op, call.x())


def global_pool(op: Callable[[tuple[int, ...], bool], Op]) -> Converter:
    """A converter of a pool over all spatial axes: a reduction."""

    def convert(call: Call) -> Value:
        x = call.x()
        if x.rank < 2:
            raise InvalidModelError(f"{describe(call.node)} needs [N, C, ...], given {x.type}")
        return call.op(op(tuple(range(2, x.rank)), True), x)

    return convert


def global_lp_pool(call: Call) -> Value:
    """GlobalLpPool."""
    p = call.integer("p", 2)
    if p in (1, 2):
        return global_pool(reduce.ReduceL1 if p == 1 else reduce.ReduceL2)(call)  # type: ignore[return-value]
    x = call.op(unary.Abs(), call.x())
    powers = call.op(elementwise.Pow(), x, call.emit.scalar(p, x))
    total = call.op(reduce.ReduceSum(tuple(range(2, x.rank)), True), powers)
    return call.op(elementwise.Pow(), total, call.emit.scalar(1 / p, total))


TABLE: Table = {
    "AveragePool": {7: average_pool},
    "Conv": {7: conv},
    "ConvTranspose": {7: conv_transpose},
    "GlobalAveragePool": {7: global_pool(reduce.ReduceMean)},
    "GlobalLpPool": {7: global_lp_pool},
    "GlobalMaxPool": {7: global_pool(reduce.ReduceMax)},
    "LpPool": {7: lp_pool},
    "MaxPool": {7: max_pool},
}
