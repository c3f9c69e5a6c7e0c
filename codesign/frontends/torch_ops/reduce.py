"""Reductions and rankings of aten."""

from math import inf

from codesign.frontends.torch_ops.call import Call, Result
from codesign.ir.dtype import DType
from codesign.ir.ops import elementwise, order, reduce, unary
from codesign.ir.ops.shape import Reshape


def reduction(call: Call, kind: type[reduce.Reduce]) -> Result:
    """Over `dim` (absent: all axes), in the result's element type."""
    x = call.cast(call.value(), call.result.dtype)
    axes = call.axes("dim", len(call.shape(x)))
    return call.emit(kind(axes, bool(call.get("keepdim"))), x)


def variance(call: Call, root: bool) -> Result:
    """var and std with `correction` (default 1)."""
    x, dtype = call.value(), call.result.dtype
    axes = call.axes("dim", len(call.shape(x)))
    correction = call.get("correction")
    if correction is None:
        correction = 1 if call.get("unbiased", True) else 0
    count = 1
    for axis in axes:
        count *= call.shape(x)[axis]
    mean = call.emit(reduce.ReduceMean(axes), x, part="mean")
    centred = call.emit(elementwise.Sub(), x, mean, part="centred")
    squared = call.emit(elementwise.Mul(), centred, centred, part="squared")
    op = reduce.ReduceMean(axes, bool(call.get("keepdim")))
    y = call.emit(op, squared, part="variance")
    if correction:
        factor = call.scalar(count / max(count - correction, 0), dtype, "correction")
        y = call.emit(elementwise.Mul(), y, factor, part="corrected")
    return call.emit(unary.Sqrt(), y) if root else y


def vector_norm(call: Call) -> Result:
    """The 1-, 2- or infinity-norm over `dim`."""
    size = call.get("ord", call.get("p", 2))
    size = 2 if size is None else size
    kinds: dict[float, type[reduce.Reduce]] = {1: reduce.ReduceL1, 2: reduce.ReduceL2}
    if size in kinds:
        return reduction(call, kinds[size])
    if size != inf:
        raise call.refuse(f"of order {size}; 1, 2 and inf are supported")
    x = call.emit(unary.Abs(), call.value(), part="abs")
    axes = call.axes("dim", len(call.shape(x)))
    return call.emit(reduce.ReduceMax(axes, bool(call.get("keepdim"))), x)


def extreme(call: Call, largest: bool) -> Result:
    """max and min: of all elements, along an axis (with positions), or of two tensors."""
    if "other" in call.arguments:
        op = elementwise.Maximum() if largest else elementwise.Minimum()
        dtype = call.result.dtype
        return call.emit(op, call.number("self", dtype), call.number("other", dtype))
    kind = reduce.ReduceMax if largest else reduce.ReduceMin
    if "dim" not in call.arguments:
        return reduction(call, kind)
    rank, keep = call.type().rank, bool(call.get("keepdim"))
    where = order.ArgMax if largest else order.ArgMin
    values = call.emit(kind(call.axes("dim", rank), keep), call.value())
    return values, call.emit(where(call.axis("dim", rank), keep), call.value(), part="positions")


def position(call: Call, kind: type[order.ArgMax]) -> Result:
    """argmax and argmin along an axis, or over all elements."""
    x = call.value()
    rank = len(call.shape(x))
    if call.given("dim"):
        return call.emit(kind(call.axis("dim", rank), bool(call.get("keepdim"))), x)
    flat = call.emit(Reshape((call.type().size,)), x, part="flat")
    found = call.emit(kind(0, False), flat)
    return call.emit(Reshape((1,) * rank), found) if call.get("keepdim") else found


def cumsum(call: Call) -> Result:
    """Running sums."""
    x = call.cast(call.value(), call.result.dtype)
    return call.emit(order.CumSum(call.axis("dim", len(call.shape(x)))), x)


def topk(call: Call) -> Result:
    """The k largest or smallest and their positions."""
    axis = call.axis("dim", call.type().rank)
    return call.emits(order.TopK(call.get("k"), axis, bool(call.get("largest"))), call.value())


def sort(call: Call) -> Result:
    """All elements in order and their positions; equal ones keep their order."""
    x = call.type()
    axis = call.axis("dim", x.rank)
    return call.emits(order.TopK(x.shape[axis], axis, bool(call.get("descending"))), call.value())


def truth(call: Call, every: bool) -> Result:
    """all and any: the least or greatest truth value."""
    x = call.cast(call.cast(call.value(), DType.BOOL), DType.U8)
    axes = call.axes("dim", len(call.shape(x)))
    kind = reduce.ReduceMin if every else reduce.ReduceMax
    y = call.emit(kind(axes, bool(call.get("keepdim"))), x, part="reduced")
    return call.cast(y, DType.BOOL)
