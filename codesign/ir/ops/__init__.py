"""Every op of the IR, by kind."""

from codesign.ir.op import Op
from codesign.ir.ops.activation import Clip, Relu
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.elementwise import Add, Div, Mul, Sub
from codesign.ir.ops.encode import Codes, Decode, Encode, Relayout

OPS: dict[str, type[Op]] = {
    op.kind: op
    for op in (Add, Clip, Codes, Conv, ConvTranspose, Decode, Div, Encode, Mul, Relayout, Relu, Sub)
}
