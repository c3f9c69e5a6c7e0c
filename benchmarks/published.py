"""What was published of accelerators, by layer: shapes, and figures to compare with."""

from dataclasses import dataclass

from codesign.cost.problem import Problem, problem_of
from codesign.ir.dtype import DType
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.ir.types import TensorType


@dataclass(frozen=True)
class Shape:
    """A layer: `batch` x `channels` (of a group) x `size`^2 by `filters` of `kernel`^2.

    A `size` of 0 is a product of matrices.
    """

    batch: int
    channels: int
    filters: int
    size: int = 0
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    groups: int = 1

    def problem(self) -> Problem:
        """Its loops."""
        depth, rows = self.channels * self.groups, self.filters * self.groups
        if not self.size:
            x = TensorType((self.batch, depth), DType.F32)
            w = TensorType((rows, depth), DType.F32)
            product = Linear()
            y = product.infer(x, w, None)
            return problem_of(product.loops((x, w), y), (x, w), y)
        x = TensorType((self.batch, depth, self.size, self.size), DType.F32)
        w = TensorType((rows, self.channels, self.kernel, self.kernel), DType.F32)
        pads = ((self.pad, self.pad),) * 2
        conv = Conv(strides=(self.stride,) * 2, pads=pads, dilations=(1, 1), groups=self.groups)
        y = conv.infer(x, w, None)
        return problem_of(conv.loops((x, w), y), (x, w), y)


@dataclass(frozen=True)
class Chip:
    """A layer on the Eyeriss chip: measured mW, ms processing, MiB from and to DRAM.

    `zeros` are shares of zeros in what comes in and in what goes out.
    """

    name: str
    shape: Shape
    zeros: tuple[float, float]
    milliwatt: float
    processing: float
    dram: float


# Chen et al., "Eyeriss", JSSC 2017, tables V and VI: AlexNet, batch 4, 200 MHz, 1 V.
EYERISS = (
    Chip("CONV1", Shape(4, 3, 96, 227, 11, 4), (0.001, 0.622), 332, 16.5, 5.0),
    Chip("CONV2", Shape(4, 48, 128, 27, 5, 1, 2, 2), (0.40, 0.831), 288, 39.2, 4.0),
    Chip("CONV3", Shape(4, 256, 384, 13, 3, 1, 1), (0.725, 0.697), 266, 21.8, 3.0),
    Chip("CONV4", Shape(4, 192, 192, 13, 3, 1, 1, 2), (0.793, 0.696), 235, 16.0, 2.1),
    Chip("CONV5", Shape(4, 192, 128, 13, 3, 1, 1, 2), (0.77, 0.90), 236, 10.0, 1.3),
)


@dataclass(frozen=True)
class Fused:
    """A layer on Bit Fusion: bits of inputs and weights, cycles of computing, cycles in all."""

    name: str
    shape: Shape
    bits: tuple[int, int]
    compute: int
    cycles: int
    first: bool = False


def _conv(channels: int, filters: int, size: int, kernel: int) -> Shape:
    return Shape(16, channels, filters, size, kernel, 1, kernel // 2)


# Sharma et al., "Bit Fusion", ISCA 2018: the authors' simulator, batch 16, 192 bits a cycle.
BIT_FUSION: dict[str, tuple[tuple[Fused, int], ...]] = {
    "AlexNet": (
        (Fused("conv1", Shape(16, 3, 96, 227, 11, 4), (8, 8), 3339600, 3746423, True), 2),
        (Fused("conv2", _conv(96, 256, 27, 5), (4, 4), 5017600, 5018849), 2),
        (Fused("conv3", _conv(512, 384, 13, 3), (4, 4), 2709504, 3248129), 2),
        (Fused("conv4", _conv(384, 384, 13, 3), (4, 4), 2032128, 2436097), 2),
        (Fused("conv5", _conv(384, 256, 13, 3), (4, 4), 1354752, 1624065), 2),
        (Fused("fc1", Shape(16, 18432, 8192), (4, 4), 1179648, 3545090), 1),
        (Fused("fc2", Shape(16, 8192, 8192), (4, 4), 524288, 1575596), 1),
        (Fused("fc3", Shape(16, 8192, 1000), (8, 8), 262144, 398679), 1),
    ),
    "SVHN": (
        (Fused("conv0", _conv(3, 64, 32, 3), (8, 1), 32768, 367979, True), 1),
        (Fused("conv1", _conv(64, 64, 32, 3), (1, 1), 294912, 358316), 1),
        (Fused("conv2", _conv(64, 128, 16, 3), (1, 1), 147456, 177409), 1),
        (Fused("conv3", _conv(128, 128, 16, 3), (1, 1), 147456, 179884), 1),
        (Fused("conv4", _conv(128, 256, 8, 3), (1, 1), 73728, 92161), 1),
        (Fused("conv5", _conv(256, 256, 8, 3), (1, 1), 73728, 102742), 1),
        (Fused("fc6", Shape(16, 4096, 1024), (1, 1), 8192, 27649), 1),
        (Fused("fc7", Shape(16, 1024, 1024), (1, 1), 2048, 11009), 1),
        (Fused("fc8", Shape(16, 1024, 10), (1, 1), 64, 374), 1),
    ),
    "CIFAR-10": (
        (Fused("conv0", _conv(3, 128, 32, 3), (8, 8), 131072, 717654, True), 1),
        (Fused("conv1", _conv(128, 128, 32, 3), (2, 2), 589824, 799062), 1),
        (Fused("conv2", _conv(128, 256, 16, 3), (2, 2), 294912, 402091), 1),
        (Fused("conv3", _conv(256, 256, 16, 3), (2, 2), 294912, 492204), 1),
        (Fused("conv4", _conv(256, 512, 8, 3), (2, 2), 147456, 255318), 1),
        (Fused("conv5", _conv(512, 512, 8, 3), (2, 2), 294912, 510636), 1),
        (Fused("fc6", Shape(16, 8192, 1024), (2, 2), 16384, 99671), 1),
        (Fused("fc7", Shape(16, 1024, 1024), (2, 2), 2048, 16555), 1),
        (Fused("fc8", Shape(16, 1024, 10), (2, 2), 64, 513), 1),
    ),
    "LeNet-5": (
        (Fused("conv0", _conv(1, 32, 32, 5), (2, 2), 16384, 179116, True), 1),
        (Fused("conv1", _conv(32, 64, 16, 5), (2, 2), 204800, 205635), 1),
        (Fused("fc1", Shape(16, 4096, 512), (2, 2), 4096, 25259), 1),
        (Fused("fc2", Shape(16, 512, 10), (2, 2), 32, 342), 1),
    ),
    "VGG-7": (
        (Fused("conv1_a", _conv(3, 128, 32, 3), (2, 2), 65536, 704001, True), 2),
        (Fused("conv2", _conv(128, 256, 16, 3), (2, 2), 294912, 402091), 2),
        (Fused("conv3", _conv(256, 512, 8, 3), (2, 2), 147456, 255318), 2),
        (Fused("fc1", Shape(16, 8192, 1024), (2, 2), 16384, 99671), 1),
    ),
    "RNN": ((Fused("matmul", Shape(16, 4096, 4096), (4, 4), 131072, 394583), 1),),
    "LSTM": ((Fused("matmul", Shape(16, 3600, 3600), (4, 4), 105792, 337175), 1),),
}

# SCALE-Sim: dataflow -> (rows M, columns N, depth K, cycles) of a product on 32 x 32.
SCALE_SIM = {"ws": 11_199, "is": 14_207, "os": 10_175}

# The different layers of ResNet-18 (He et al., CVPR 2016) for 224 x 224.
RESNET18 = {
    "conv1": Shape(1, 3, 64, 224, 7, 2, 3),
    "layer1": Shape(1, 64, 64, 56, 3, 1, 1),
    "layer2.0.conv1": Shape(1, 64, 128, 56, 3, 2, 1),
    "layer2.0.downsample": Shape(1, 64, 128, 56, 1, 2),
    "layer2": Shape(1, 128, 128, 28, 3, 1, 1),
    "layer3.0.conv1": Shape(1, 128, 256, 28, 3, 2, 1),
    "layer3.0.downsample": Shape(1, 128, 256, 28, 1, 2),
    "layer3": Shape(1, 256, 256, 14, 3, 1, 1),
    "layer4.0.conv1": Shape(1, 256, 512, 14, 3, 2, 1),
    "layer4.0.downsample": Shape(1, 256, 512, 14, 1, 2),
    "layer4": Shape(1, 512, 512, 7, 3, 1, 1),
    "fc": Shape(1, 512, 1000),
}

# Jouppi et al., ISCA 2017, table 3: cycles a weight tile takes, from its counters, and the batch.
TPU = {"MLP0": (1328, 200), "MLP1": (1303, 168), "LSTM0": (1330, 64), "LSTM1": (1343, 96)}


@dataclass(frozen=True)
class Pair:
    """A pointwise layer on one element of Eyeriss v2: densities of both operands, cycles."""

    name: str
    shape: Shape
    densities: tuple[float, float]
    cycles: int


# Cycles of one element of Eyeriss v2 on sparse MobileNet-0.5-128, from the artifact of Wu et al.,
# Sparseloop, MICRO 2022.
EYERISS_V2 = (
    Pair("L07", Shape(1, 64, 64, 32), (0.73, 0.52), 1_702_140),
    Pair("L09", Shape(1, 64, 128, 16), (0.86, 0.82), 1_499_682),
    Pair("L13", Shape(1, 128, 256, 8), (0.83, 0.64), 1_144_158),
    Pair("L19", Shape(1, 256, 256, 8), (0.61, 0.55), 1_457_458),
)
