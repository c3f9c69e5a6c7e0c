"""What a quantization of QONNX rounds to, its parameters checked, and the encoding that holds it.

y = (round(clip(x / scale + zeropt, low, high)) - zeropt) * scale, in float32 and in this order.
Source: Pappalardo et al., QONNX: representing arbitrary-precision quantized neural networks, 2022.
"""

from dataclasses import dataclass

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, NotConstantError
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.const import Const
from codesign.ir.dtype import DType
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.grid import Grid
from codesign.ir.encodings.integer import ACCUMULATOR_BITS, Int
from codesign.ir.encodings.ternary import Ternary

WIDEST = 16  # bits of a code; constants, biases among them, take those of an accumulator


@dataclass(frozen=True)
class Levels:
    """The whole numbers from `low` to `high`; `scale` and `zero` broadcast against the value."""

    scale: np.ndarray
    zero: np.ndarray
    width: int
    signed: bool
    narrow: bool

    @property
    def low(self) -> int:
        """The smallest level."""
        return -(1 << (self.width - 1)) + int(self.narrow) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest level."""
        return (1 << (self.width - int(self.signed))) - 1 - int(self.narrow and not self.signed)

    @property
    def centred(self) -> bool:
        """True if every zero point is 0."""
        return not self.zero.any()

    def encoding(self, call: Call, shape: tuple[int, ...], constant: bool) -> Grid:
        """The encoding of a tensor of `shape` on these levels: -1, 0 and 1 are ternary weights."""
        (scale, zero), axis = sliced(call, (np.abs(self.scale), self.zero), shape)
        if constant and self.centred and (self.low, self.high) == (-1, 1):
            return Ternary(Const(scale), Const(scale * np.float32(0.5)), axis)
        wide = self.width > WIDEST
        width, signed = (ACCUMULATOR_BITS, True) if wide else (self.width, self.signed)
        return Int(width, Const(scale), Const(zero.astype(np.int32)), signed, axis)


def bipolar(call: Call, scale: np.ndarray, shape: tuple[int, ...]) -> Binary:
    """The encoding of a tensor of `shape` in two levels, plus and minus `scale`."""
    (size,), axis = sliced(call, (np.abs(scale),), shape)
    return Binary(Const(size), axis)


def sliced(
    call: Call, arrays: tuple[np.ndarray, ...], shape: tuple[int, ...]
) -> tuple[list[np.ndarray], int | None]:
    """`arrays` that broadcast against `shape` as numbers, or as vectors along the axis returned."""
    full = [_ranked(call, array, shape) for array in arrays]
    varying = [
        axis
        for axis in range(len(shape))
        if any(a.shape[axis] > 1 and (a != a.take([0], axis)).any() for a in full)
    ]
    if len(varying) > 1:
        raise call.refuse(
            f"scales or zero points that vary along axes {varying} of {list(shape)}: an encoding "
            "has one for the tensor or one for each slice along one axis"
        )
    axis = varying[0] if varying else None
    first = tuple(slice(None) if i == axis else 0 for i in range(len(shape)))
    extents = () if axis is None else (shape[axis],)
    return [np.broadcast_to(array[first], extents) for array in full], axis


def _ranked(call: Call, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`array`, which broadcasts to `shape`, with as many axes; InvalidModelError if it does not."""
    plain = array.reshape(()) if array.size == 1 else array
    ranked = plain.reshape((1,) * (len(shape) - plain.ndim) + plain.shape)
    if ranked.ndim > len(shape) or any(
        extent not in (1, whole) for extent, whole in zip(ranked.shape, shape, strict=True)
    ):
        raise InvalidModelError(
            f"{describe(call.node)}: a scale or zero point of shape {list(array.shape)} does not "
            f"fit a tensor of shape {list(shape)}; expected one number, or ones but for one axis"
        )
    return ranked


def parameter(call: Call, index: int, what: str) -> np.ndarray:
    """Constant input `index` in float32; refused if it is computed at run time or is inexact."""
    value = call.x(index)
    if value.array is None:
        raise NotConstantError(
            f"{describe(call.node)} (operator {call.node.op_type}, domain {call.node.domain!r}) is "
            f"not supported: {what} {call.node.input[index]!r} is {{where}}; those of an encoding "
            "are constants, so export the model in evaluation mode, with fixed quantization",
            call.emit.sources(value),
        )
    with np.errstate(over="ignore", invalid="ignore"):
        array = value.array.astype(np.float32)
    if not np.isfinite(array).all() or (array.astype(value.array.dtype) != value.array).any():
        raise call.refuse(
            f"{what} {value.array.reshape(-1)[:4].tolist()}, which is no finite float32"
        )
    if array.size == 0:
        raise InvalidModelError(f"{describe(call.node)}: {what} is empty")
    return array.reshape(()) if array.size == 1 else array


def scale_of(call: Call, index: int, x: Value) -> np.ndarray:
    """The scale at input `index` for quantizing `x`."""
    scale = parameter(call, index, "its scale")
    if not scale.all():
        raise call.refuse("a scale of 0, which gives no levels: prune these channels instead")
    if (scale < 0).any() and not x.constant:
        raise call.refuse(
            f"a negative scale, {float(scale.min())}: those of an encoding are positive; negate "
            "the weights of the layers that read the result, and the scale"
        )
    return scale


def width_of(call: Call, index: int, most: int = WIDEST) -> int:
    """The bit width at input `index`, a whole number up to `most`."""
    found = np.unique(parameter(call, index, "its bit width"))
    given = ", ".join(f"{float(width):g}" for width in found[:4])
    if len(found) > 1:
        raise call.refuse(f"bit widths {given}: an encoding has one for the tensor")
    if found[0] % 1 or not 1 <= found[0] <= most:
        raise call.refuse(
            f"a bit width of {given}: encodings hold values of 1 to {WIDEST} bits, constants "
            f"(as biases are) of up to {ACCUMULATOR_BITS}, in whole bits; export this quantizer "
            "with such a width, or without quantization, which leaves its values in floats"
        )
    return int(found[0])


def levels_of(call: Call, x: Value) -> Levels:
    """The levels that a node with inputs x, scale, zeropt and bitwidth quantizes `x` to."""
    check_float(call, x)
    scale, zero = scale_of(call, 1, x), parameter(call, 2, "its zero point")
    signed, narrow = call.integer("signed", 1) != 0, call.integer("narrow", 0) != 0
    width = width_of(call, 3, ACCUMULATOR_BITS if x.constant else WIDEST)
    levels = Levels(scale, zero, width, signed, narrow)
    if (zero % 1).any():
        raise call.refuse(f"a zero point of {float(zero.flat[0])}, expected whole numbers")
    if levels.width > 1 and ((zero < levels.low) | (zero > levels.high)).any():
        raise call.refuse(
            f"zero points {float(zero.min()):g} to {float(zero.max()):g} outside the levels "
            f"{levels.low} to {levels.high}, so that no code stands for 0"
        )
    return levels


def check_float(call: Call, x: Value) -> None:
    """Refuse what is not float32, in which QONNX computes."""
    if x.dtype is not DType.F32:
        raise call.refuse(f"a value of type {x.type}, expected f32")
