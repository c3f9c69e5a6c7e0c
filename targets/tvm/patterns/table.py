"""The kernels of the CPU target, in order of preference at equal cost."""

from codesign.targets.tvm.kernel import CpuKernel
from codesign.targets.tvm.patterns.bits import BitsKernel, BitsThreshold
from codesign.targets.tvm.patterns.contract import Contract
from codesign.targets.tvm.patterns.conv import (
    ConvDepthwise,
    ConvDirect,
    ConvGeneric,
    ConvPointwise,
    ConvStem,
    ConvUpsample,
)
from codesign.targets.tvm.patterns.conv_int8 import ConvInt8, DepthwiseInt8, StemInt8
from codesign.targets.tvm.patterns.conv_separable import ConvInverted, ConvSeparable
from codesign.targets.tvm.patterns.conv_winograd import ConvWinograd
from codesign.targets.tvm.patterns.elementwise import Elementwise, Nothing, Relayout, View
from codesign.targets.tvm.patterns.fallback import Fallback
from codesign.targets.tvm.patterns.indexed import Indexed
from codesign.targets.tvm.patterns.int8 import AddInt8, LinearInt8, MaxPoolInt8, MeanInt8
from codesign.targets.tvm.patterns.matmul import MatMulKernel
from codesign.targets.tvm.patterns.move import MoveElements
from codesign.targets.tvm.patterns.normalize import BatchNormScale, RowKernel
from codesign.targets.tvm.patterns.order import AlongAxis, Scatter
from codesign.targets.tvm.patterns.pack import MaxPoolBits, PackBits, Repack
from codesign.targets.tvm.patterns.pool import PoolWindows, ReduceAxes, ReducePixels
from codesign.targets.tvm.patterns.recurrent import RecurrentLayer
from codesign.targets.tvm.patterns.separable_int8 import InvertedInt8, SeparableInt8
from codesign.targets.tvm.patterns.sparse import Sparse

KERNELS: tuple[type[CpuKernel], ...] = (
    ConvPointwise,
    ConvDepthwise,
    ConvStem,
    ConvDirect,
    ConvWinograd,
    ConvUpsample,
    ConvGeneric,
    ConvSeparable,
    ConvInverted,
    DepthwiseInt8,
    ConvInt8,
    StemInt8,
    SeparableInt8,
    InvertedInt8,
    LinearInt8,
    BitsKernel,
    BitsThreshold,
    PackBits,
    MaxPoolBits,
    MaxPoolInt8,
    MeanInt8,
    AddInt8,
    MatMulKernel,
    Sparse,
    RowKernel,
    BatchNormScale,
    MoveElements,
    Indexed,
    AlongAxis,
    Scatter,
    RecurrentLayer,
    Contract,
    PoolWindows,
    ReducePixels,
    ReduceAxes,
    Nothing,
    Elementwise,
    View,
    Repack,
    Relayout,
    Fallback,
)
