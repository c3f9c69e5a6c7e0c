"""Operators that make constants, or whose result's shape depends on data that must be constant."""

from math import ceil, prod

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.tensor import check_finite, numpy_dtype, width_of
from codesign.frontends.onnx.value import Value


def constant(call: Call) -> Value:
    """Constant, in each of its forms but sparse and text."""
    what = f"the constant of {describe(call.node)}"
    if call.has("value"):
        array = call.tensor("value", what)
        check_finite(array, what)
        width = width_of(call.attributes["value"].t.data_type)
        return call.emit.constant(array, call.emit.label, width)
    if call.has("value_int"):
        return call.emit.constant(np.array(call.integer("value_int"), np.int64), call.emit.label)
    if call.has("value_float"):
        return call.emit.constant(np.array(call.number("value_float"), np.float32))
    if call.has("value_ints"):
        return call.emit.constant(np.array(call.integers("value_ints"), np.int64))
    if call.has("value_floats"):
        return call.emit.constant(np.array(call.numbers("value_floats"), np.float32))
    name = next(iter(call.attributes), "value")
    raise call.refuse("a constant that is sparse, text or absent", name)


def limit(call: Call, count: int, dtype: np.dtype) -> None:
    """Refuse `count` elements that would take more than constants may."""
    call.emit.reserve(count * dtype.itemsize, f"the constant of {describe(call.node)}")


def constant_of_shape(call: Call) -> Value:
    """ConstantOfShape."""
    shape = call.ints_of(0, "the shape")
    value = call.tensor("value", describe(call.node)) if call.has("value") else np.zeros(1, "f4")
    if value.size != 1 or min(shape, default=0) < 0 or len(shape) > 32:
        raise InvalidModelError(
            f"{describe(call.node)} needs one value and a shape of at least 0, given {shape[:8]}"
        )
    limit(call, prod(shape), value.dtype)
    return call.emit.constant(np.full(shape, value.reshape(()), value.dtype))


def range_of(call: Call) -> Value:
    """Range with constant bounds."""
    start, end, step = (call.array(i, "its bounds").reshape(()) for i in range(3))
    if not all(np.isfinite([start, end, step])) or step == 0:
        raise InvalidModelError(f"{describe(call.node)}: bounds {start}, {end}, {step}")
    count = max(ceil((end.item() - start.item()) / step.item()), 0)
    limit(call, count, start.dtype)
    values = start + np.arange(count).astype(start.dtype) * step
    return call.emit.constant(values.astype(start.dtype))


def eye_like(call: Call) -> Value:
    """EyeLike."""
    x = call.x()
    dtype = numpy_dtype(call.integer("dtype"), "EyeLike") if call.has("dtype") else x.dtype.numpy
    if x.rank != 2:
        raise InvalidModelError(f"{describe(call.node)} needs two axes, given {x.type}")
    limit(call, prod(x.shape), dtype)
    return call.emit.constant(np.eye(x.shape[0], x.shape[1], k=call.integer("k", 0), dtype=dtype))


def non_zero(call: Call) -> Value:
    """NonZero of a constant."""
    return call.emit.constant(np.array(np.nonzero(call.array(0, "its elements")), np.int64))


TABLE: Table = {
    "Constant": {7: constant},
    "ConstantOfShape": {7: constant_of_shape},
    "EyeLike": {7: eye_like},
    "NonZero": {7: non_zero},
    "Range": {7: range_of},
}
