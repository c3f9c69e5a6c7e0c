"""Quantization: pairs of QuantizeLinear and DequantizeLinear become integer encodings.

A QuantizeLinear with constant parameters encodes its input; its integer result is a view of the
codes that becomes an op only if something other than the matching DequantizeLinear reads it.
"""

from dataclasses import dataclass

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.families.arithmetic import cast_value
from codesign.frontends.onnx.families.convolution import conv_op
from codesign.frontends.onnx.families.linear import product
from codesign.frontends.onnx.families.shape import reshaped
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.tensor import NARROW, check_finite, numpy_dtype
from codesign.frontends.onnx.value import Value
from codesign.ir.const import Const
from codesign.ir.dtype import DType, from_numpy
from codesign.ir.encodings.integer import Int
from codesign.ir.ops import elementwise, unary
from codesign.ir.ops.activation import Clip

CODES = (DType.U8, DType.I8, DType.U16, DType.I16, DType.I32)


@dataclass(frozen=True)
class Grid:
    """Parameters of a quantization: scale, zero point (None: 0), element type and bits of codes."""

    scale: Value
    zero: Value | None
    dtype: DType
    width: int
    axis: int

    @property
    def constant(self) -> bool:
        """Whether the parameters make an encoding: known, and scales that are positive."""
        known = self.scale.array is not None and (self.zero is None or self.zero.constant)
        if not known or self.scale.array is None:
            return False
        return bool((np.isfinite(self.scale.array) & (self.scale.array > 0)).all())

    def encoding(self, call: Call, shape: tuple[int, ...]) -> Int:
        """The encoding of a tensor of `shape`."""
        assert self.scale.array is not None
        scale = self.scale.array.astype(np.float32)
        zero = np.zeros_like(scale, np.int32) if self.zero is None else self.zero.array
        assert zero is not None
        if scale.shape != zero.shape and scale.size * zero.size > 1:
            raise InvalidModelError(
                f"{describe(call.node)}: scale {scale.shape} and zero point {zero.shape} differ"
            )
        axis = None if scale.size == 1 else call.normal(self.axis, len(shape))
        if axis is not None and (scale.ndim != 1 or scale.size != shape[axis]):
            raise InvalidModelError(
                f"{describe(call.node)}: scales of shape {scale.shape} do not fit axis {axis} of "
                f"{list(shape)}"
            )
        form = () if axis is None else (-1,)
        signed = self.dtype in (DType.I8, DType.I16, DType.I32)
        zeros = zero.astype(np.int32).reshape(form)
        return Int(self.width, Const(scale.reshape(form)), Const(zeros), signed, axis)


def _grid(call: Call, scale: int, zero: int, like: Value | None, axis: int) -> Grid:
    """The grid whose parameters are inputs number `scale` and `zero`, with codes as `like`."""
    point = call.get(zero)
    model = like or point
    dtype, width = (DType.U8, None) if model is None else (model.dtype, model.width)
    if model is None and call.integer("output_dtype", 0):
        element = call.integer("output_dtype")
        dtype = from_numpy(numpy_dtype(element, f"the result of {describe(call.node)}"))
        width = NARROW[element][0] if element in NARROW else None
    if dtype not in CODES or not call.x(scale).dtype.is_float:
        raise call.refuse(f"codes of type {dtype} with scales of type {call.x(scale).dtype}")
    return Grid(call.x(scale), point, dtype, width or dtype.bits, axis)


def _spread(call: Call, vector: Value, x: Value, axis: int) -> Value:
    """A scale or zero point reshaped to broadcast against `x`."""
    if vector.type.size == 1:
        return reshaped(call, vector, ())
    place = call.normal(axis, x.rank)
    return reshaped(call, vector, [vector.type.size if i == place else 1 for i in range(x.rank)])


def quantized(call: Call, x: Value, grid: Grid) -> Value:
    """The codes of `x` on `grid`."""
    if not x.dtype.is_float:
        x = cast_value(call, x, grid.scale.dtype.numpy)
    if grid.constant and grid.width <= 16:
        encoded = call.emit.encode(x, grid.encoding(call, x.shape))
        return call.emit.codes(encoded, grid.dtype, _narrow(grid))
    if grid.width < grid.dtype.bits:
        raise call.refuse(f"codes of {grid.width} bits whose scale is computed at run time")
    scaled = call.op(elementwise.Div(), x, _spread(call, grid.scale, x, grid.axis))
    codes = call.op(unary.Round(), scaled)
    if grid.zero is not None:
        zero = _spread(call, cast_value(call, grid.zero, x.dtype.numpy), x, grid.axis)
        codes = call.op(elementwise.Add(), codes, zero)
    bounds = np.iinfo(grid.dtype.numpy)
    limited = call.op(Clip(float(bounds.min), float(bounds.max)), codes)
    return cast_value(call, limited, grid.dtype.numpy)


def _narrow(grid: Grid) -> int | None:
    return grid.width if grid.width < grid.dtype.bits else None


def dequantized(call: Call, codes: Value, grid: Grid) -> Value:
    """The values of `codes` on `grid`: a value that carries the encoding if it is constant."""
    if not grid.constant:
        return _arithmetic(call, codes, grid)
    kind = grid.encoding(call, codes.shape)
    if codes.codes_of is not None and codes.codes_of.encoding == kind:
        return codes.codes_of
    if codes.array is not None:
        with np.errstate(over="ignore"):
            values = kind.decode({"values": codes.array}, codes.shape)
            values = values.astype(grid.scale.dtype.numpy)
        check_finite(values, f"the constant that {describe(call.node)} dequantizes")
        return call.emit.constant(values, codes.label, kind=kind)
    plain = _arithmetic(call, codes, grid)
    return call.emit.encode(plain, kind) if grid.width <= 16 else plain


def _arithmetic(call: Call, codes: Value, grid: Grid) -> Value:
    """scale * (codes - zero) in plain ops."""
    wide = cast_value(call, codes, np.dtype(np.int32))
    if grid.zero is not None:
        zero = cast_value(call, grid.zero, np.dtype(np.int32))
        wide = call.op(elementwise.Sub(), wide, _spread(call, zero, codes, grid.axis))
    real = cast_value(call, wide, grid.scale.dtype.numpy)
    return call.op(elementwise.Mul(), real, _spread(call, grid.scale, codes, grid.axis))


def _whole(call: Call) -> None:
    """Refuse scales a block."""
    if call.integer("block_size", 0):
        raise call.refuse(f"block_size={call.integer('block_size')}", "block_size")


def quantize_linear(call: Call) -> Value:
    """QuantizeLinear."""
    call.ignore("saturate", "precision")
    _whole(call)
    grid = _grid(call, 1, 2, None, call.integer("axis", 1))
    call.ignore("output_dtype")
    return quantized(call, call.x(), grid)


def dequantize_linear(call: Call) -> Value:
    """DequantizeLinear; constants with scales a block become plain constants."""
    codes, axis = call.x(), call.integer("axis", 1)
    if not codes.dtype.is_integer:
        raise call.refuse(f"codes of type {codes.dtype}")
    if call.integer("output_dtype", 0):
        want = from_numpy(numpy_dtype(call.integer("output_dtype"), describe(call.node)))
        if want is not call.x(1).dtype:
            raise call.refuse(
                f"output_dtype {want} with scales of {call.x(1).dtype}", "output_dtype"
            )
    if call.integer("block_size", 0):
        return _blocks(call, codes, axis)
    return dequantized(call, codes, _grid(call, 1, 2, codes, axis))


def _blocks(call: Call, codes: Value, axis: int) -> Value:
    """Values whose scale is shared by `block_size` neighbours along the axis."""
    size, place = call.integer("block_size"), call.normal(axis, codes.rank)
    arrays = [call.array(i, "block parameters") for i in (0, 1, 2) if call.get(i) is not None]
    if size < 1 or any(a.shape[place] * size < codes.shape[place] for a in arrays[1:]):
        raise InvalidModelError(f"{describe(call.node)}: blocks of {size} do not fit {codes.type}")
    wide = [np.repeat(a, size, place) for a in arrays[1:]]
    cut = [a.take(range(codes.shape[place]), place) for a in wide]
    zero = cut[1].astype(np.int32) if len(cut) > 1 else np.int32(0)
    values = (arrays[0].astype(np.int32) - zero).astype(cut[0].dtype) * cut[0]
    return call.emit.constant(values, codes.label)


def _constant_grid(call: Call, scale: int, zero: int, like: Value | None, axis: int) -> Grid:
    """A grid whose parameters must be known."""
    call.array(scale, "a scale")
    if call.get(zero) is not None:
        call.array(zero, "a zero point")
    return _grid(call, scale, zero, like, axis)


def qlinear_conv(call: Call) -> Value:
    """QLinearConv: a convolution of encoded operands with an encoded result."""
    x_grid = _constant_grid(call, 1, 2, call.x(0), 1)
    w_grid = _constant_grid(call, 4, 5, call.x(3), 0)
    y_grid = _constant_grid(call, 6, 7, call.get(7), 1)
    x, w = dequantized(call, call.x(0), x_grid), dequantized(call, call.x(3), w_grid)
    bias = None
    if call.get(8) is not None:
        factor = call.array(1, "a scale").reshape(()) * call.array(4, "a scale")
        scale = call.emit.constant(np.asarray(factor, np.float32))
        bias = dequantized(call, call.x(8), Grid(scale, None, DType.I32, 32, 0))
    return quantized(call, call.op(conv_op(call, w), x, w, bias), y_grid)


def qlinear_matmul(call: Call) -> Value:
    """QLinearMatMul: a product of encoded operands with an encoded result."""
    a_grid = _constant_grid(call, 1, 2, call.x(0), -2)
    b_grid = _constant_grid(call, 4, 5, call.x(3), -1)
    y_grid = _constant_grid(call, 6, 7, call.get(7), -2)
    a, b = dequantized(call, call.x(0), a_grid), dequantized(call, call.x(3), b_grid)
    return quantized(call, product(call, a, b), y_grid)


def _integers(call: Call, index: int, zero: int, axis: int) -> Value:
    """Integer input `index` less its zero point, as floats with an encoding of scale 1."""
    codes, point = call.x(index), call.get(zero)
    count = point.shape if point is not None else ()
    scale = call.emit.constant(np.ones(count, np.float32))
    return dequantized(call, codes, Grid(scale, point, codes.dtype, codes.dtype.bits, axis))


def conv_integer(call: Call) -> Value:
    """ConvInteger: a convolution of values with scale 1, as integers. Sums below 2^24 are exact."""
    x, w = _integers(call, 0, 2, 1), _integers(call, 1, 3, 0)
    return cast_value(call, call.op(conv_op(call, w), x, w), np.dtype(np.int32))


def matmul_integer(call: Call) -> Value:
    """MatMulInteger: a product of values with scale 1, as integers. Sums below 2^24 are exact."""
    a, b = _integers(call, 0, 2, -2), _integers(call, 1, 3, -1)
    return cast_value(call, product(call, a, b), np.dtype(np.int32))


TABLE: Table = {
    "ConvInteger": {10: conv_integer},
    "DequantizeLinear": {10: dequantize_linear},
    "MatMulInteger": {10: matmul_integer},
    "QLinearConv": {10: qlinear_conv},
    "QLinearMatMul": {10: qlinear_matmul},
    "QuantizeLinear": {10: quantize_linear},
}
