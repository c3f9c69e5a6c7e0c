"""Reductions and positions of extremes."""

from collections.abc import Callable

from codesign.frontends.onnx.call import Call, Converter, Table
from codesign.frontends.onnx.families.arithmetic import cast_value
from codesign.frontends.onnx.value import Value
from codesign.ir.dtype import DType
from codesign.ir.op import Op
from codesign.ir.ops import order, reduce


def _axes(call: Call, from_input: int) -> tuple[int, ...] | None:
    if call.version >= from_input:
        if call.has("axes"):
            raise call.refuse("axes are an input in this operator set", "axes")
        return None if call.get(1) is None else call.ints_of(1, "the axes")
    return call.integers("axes") if call.has("axes") else None


def reduction(op: Callable[[tuple[int, ...], bool], Op], from_input: int = 18) -> Converter:
    """A converter of a reduction whose axes are an input since operator set `from_input`."""

    def convert(call: Call) -> Value:
        x = call.x()
        keep = bool(call.integer("keepdims", 1))
        axes, noop = _axes(call, from_input), call.integer("noop_with_empty_axes", 0)
        if not axes and not noop:
            axes = tuple(range(x.rank))
        found = tuple(sorted(call.axes(axes or (), x.rank)))
        if x.dtype is DType.BOOL:  # largest and smallest of truth values
            wide = cast_value(call, x, DType.U8.numpy)
            return cast_value(call, call.op(op(found, keep), wide), x.dtype.numpy)
        empty = any(x.shape[axis] == 0 for axis in found)
        if empty and not x.dtype.is_float and op in (reduce.ReduceMax, reduce.ReduceMin):
            raise call.refuse("the largest or smallest of no integers")
        return call.op(op(found, keep), x)

    return convert


def position(op: Callable[[int, bool, bool], Op]) -> Converter:
    """A converter of ArgMax or ArgMin."""

    def convert(call: Call) -> Value:
        x = call.x()
        keep, last = call.integer("keepdims", 1), call.integer("select_last_index", 0)
        return call.op(op(call.axis(x.rank, default=0), bool(keep), bool(last)), x)

    return convert


REDUCTIONS = {
    "ReduceL1": reduce.ReduceL1,
    "ReduceL2": reduce.ReduceL2,
    "ReduceLogSum": reduce.ReduceLogSum,
    "ReduceLogSumExp": reduce.ReduceLogSumExp,
    "ReduceMax": reduce.ReduceMax,
    "ReduceMean": reduce.ReduceMean,
    "ReduceMin": reduce.ReduceMin,
    "ReduceProd": reduce.ReduceProd,
    "ReduceSumSquare": reduce.ReduceSumSquare,
}
TABLE: Table = {
    **{name: {7: reduction(op)} for name, op in REDUCTIONS.items()},
    "ArgMax": {7: position(order.ArgMax)},
    "ArgMin": {7: position(order.ArgMin)},
    "ReduceSum": {7: reduction(reduce.ReduceSum, 13)},
}
