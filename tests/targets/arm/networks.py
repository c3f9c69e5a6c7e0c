"""Small networks that put every kernel of the CPU target to work, each in one graph."""

from collections.abc import Mapping

import numpy as np

from codesign import plugins
from codesign.ir.builder import Builder
from codesign.ir.encodings import NM, Csr
from codesign.ir.graph import Graph
from codesign.ir.op import Op
from codesign.ir.ops.activation import Clip, Elu, Gelu, HardSwish, Relu, Sigmoid
from codesign.ir.ops.convolution import Conv, ConvTranspose
from codesign.ir.ops.einsum import Einsum
from codesign.ir.ops.elementwise import Add, Div, Mul, Pow
from codesign.ir.ops.gather import Gather
from codesign.ir.ops.join import Concat, Pad, Split
from codesign.ir.ops.matmul import Linear, MatMul
from codesign.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, Lrn, RmsNorm
from codesign.ir.ops.order import ArgMax, CumSum, TopK
from codesign.ir.ops.pool import AvgPool, MaxPool
from codesign.ir.ops.recurrent import Gru, Lstm
from codesign.ir.ops.reduce import ReduceLogSumExp, ReduceMax, ReduceMean
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.scatter import ScatterNd
from codesign.ir.ops.shape import Flatten, Reshape, Transpose
from codesign.ir.ops.softmax import LogSoftmax, Softmax
from codesign.ir.program import Assignment, Program
from codesign.mapping.group import Group
from codesign.rewrite.context import Context
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, calibrated
from tests.targets.tvm.harness import Net, make

SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
TOLERANCE = 1e-4


def placed(graph: Graph, target: Cpu, forced: Mapping[str, str]) -> Program:
    """`graph` with layouts and kernels, those of `forced` for the nodes that it names."""
    program = target.choose_kernels(Program(graph))
    placement = []
    for assignment in program.placement:
        name = forced.get(assignment.nodes[0], assignment.kernel)
        kernel, group = target.by_name[name], Group(graph, program.nodes_of(assignment))
        assert kernel.refuse(group) is None, f"{name}: {kernel.refuse(group)}"
        point = assignment.point if name == assignment.kernel else kernel.default(group)
        placement.append(Assignment(name, assignment.nodes, point))
    chosen = target.choose_layouts(Program(graph, target.spec, tuple(placement)))
    target.verify(chosen)
    return chosen


class Forced(Net):
    """A net that keeps the kernel that some of its layers must take."""

    def __init__(self) -> None:
        super().__init__()
        self.forced: dict[str, str] = {}

    def layer(self, kernel: str, op: Op, *operands: str) -> str:
        """`op` on `operands`, to be run by `kernel`."""
        value = self.op(op, *operands)
        self.forced[value] = kernel
        return value

    def scaled(self, *shape: int) -> str:
        """A constant whose products keep the scale of their input."""
        spread = float(np.prod(shape[1:])) ** -0.5
        return self.constant((self.random.standard_normal(shape) * spread).astype(np.float32))

    def gives(self, *values: str, tolerance: float = TOLERANCE) -> None:
        """Make `values` outputs."""
        for value in values:
            self.returns(value, tolerance)


def convolutions() -> Forced:
    """Each kernel for float convolutions, with odd extents and something fused behind it."""
    net = Forced()
    image, x = net.normal(2, 3, 15, 13), net.normal(2, 20, 11, 9)
    y = net.layer("conv-stem", Conv((2, 2), SAME), image, net.scaled(20, 3, 3, 3), net.weight(20))
    net.gives(net.op(Gelu(), y))
    y = net.layer("conv-pointwise", Conv((1, 1), NONE), x, net.scaled(37, 20, 1, 1))
    net.gives(net.op(HardSwish(), y))
    y = net.layer("conv-direct", Conv((2, 1), SAME), x, net.scaled(12, 20, 3, 3), net.weight(12))
    net.gives(net.op(Sigmoid(), y))
    y = net.layer("conv-winograd", Conv((1, 1), SAME), x, net.scaled(20, 20, 3, 3))
    net.gives(net.op(Relu(), net.op(Add(), y, x)))
    grouped = Conv((1, 1), SAME, (1, 1), 20)
    y = net.layer("conv-depthwise", grouped, x, net.scaled(20, 1, 3, 3), net.weight(20))
    net.gives(net.op(Clip(-1.0, 1.0), y))
    y = net.layer("conv-upsample", ConvTranspose((2, 2)), x, net.scaled(20, 8, 2, 2))
    net.gives(net.op(Relu(), y))
    odd = Conv((1, 2), ((0, 1), (2, 0)), (2, 1), 2)
    net.gives(net.layer("conv-generic", odd, x, net.scaled(6, 10, 3, 2)))
    for form in (Csr(60), NM(1, 4)):
        w = net.random.standard_normal((24, 20, 1, 1)).astype(np.float32)
        kept = net.constant(np.where(form.keep(w), w, np.float32(0)), "w", (form,))
        net.gives(net.layer("sparse", Conv((1, 1), NONE), x, kept))
    net.gives(net.op(Conv((1, 1), SAME), x, net.normal(5, 20, 3, 3)))  # contract
    return net


def _products(net: Forced) -> None:
    lines = net.normal(3, 7, 21)
    y = net.op(Linear(), lines, net.scaled(34, 21), net.weight(34))
    net.gives(net.op(Softmax(2), y), net.op(LogSoftmax(1), y), net.op(make("tanh"), y))
    net.gives(net.op(MatMul(), lines, net.normal(3, 21, 6)))
    net.gives(net.op(Einsum("bij,bkj->bik"), lines, net.normal(3, 5, 21)))
    net.gives(net.op(LayerNorm(2), lines, net.weight(21), net.weight(21)))
    net.gives(net.op(RmsNorm(2), lines, net.weight(21)))
    w = net.random.standard_normal((40, 21)).astype(np.float32)
    form = Csr(90)
    kept = net.constant(np.where(form.keep(w), w, np.float32(0)), "w", (form,))
    net.gives(net.layer("sparse", Linear(), net.normal(8, 21), kept, net.weight(40)))


def _functions(net: Forced) -> None:
    x = net.given(np.linspace(-9, 9, 203, dtype=np.float32))
    for kind in ("exp", "tanh", "erf", "sigmoid", "softplus", "silu", "cos", "round", "floor"):
        net.gives(net.op(make(kind), x))
    for op in (Gelu(), Gelu("tanh"), HardSwish(), Elu()):
        net.gives(net.op(op, x))
    positive = net.given(np.linspace(0.01, 9, 50, dtype=np.float32))
    for kind in ("log", "sqrt", "rsqrt"):
        net.gives(net.op(make(kind), positive))
    net.gives(net.op(Pow(), positive, net.normal(50)))
    exact = net.given(net.random.standard_normal((4, 9)))
    net.gives(net.op(Softmax(1), exact), net.op(Div(), exact, exact), tolerance=1e-12)
    half = net.given(net.random.standard_normal((3, 33)).astype(np.float16))
    net.gives(net.op(Mul(), half, half), net.op(make("tanh"), half), tolerance=2e-3)
    for dtype in (np.int64, np.uint8):
        a = net.given(net.random.integers(1, 100, (4, 33)).astype(dtype))
        net.gives(net.op(Div(), a, net.given(net.random.integers(1, 7, (4, 1)).astype(dtype))))


def _images(net: Forced) -> None:
    plain = net.normal(2, 20, 7, 9)
    x = net.op(Conv((1, 1), NONE), plain, net.scaled(20, 20, 1, 1))
    for pool in (MaxPool((3, 3), (2, 2), SAME), AvgPool((3, 3), (2, 2), SAME)):
        net.gives(net.op(pool, x), net.op(pool, plain))
    vectors = [net.constant(net.random.uniform(0.5, 2, 20).astype("f")) for _ in range(4)]
    net.gives(net.op(BatchNorm(), net.normal(4, 20), *vectors))
    net.gives(net.op(GroupNorm(4), x, *vectors[:2]), net.op(Lrn(5), plain))
    net.gives(net.layer("reduce-pixels", ReduceMean((2, 3)), x), net.op(ReduceMax((1,)), plain))
    net.gives(net.op(ReduceLogSumExp((1,)), plain))
    net.gives(net.op(Resize((2, 20, 14, 12), mode="linear"), x))
    net.gives(net.op(Resize((2, 20, 9, 10), mode="cubic"), plain))


def _moves(net: Forced) -> None:
    x = net.normal(4, 6, 9)
    first, last = net.results(Split(1, (2, 4)), x, names=["part"])
    values = [net.op(Concat(1), last, first), net.op(Transpose((2, 0, 1)), x)]
    values += [net.op(Pad(((0, 1), (2, 0), (1, 1)), "reflect"), x), net.op(Reshape((6, 36)), x)]
    values.append(net.op(Gather(1), x, net.given(net.random.integers(-6, 6, (2, 3)))))
    rows = net.given(net.random.permutation(4)[:3].reshape(3, 1))
    values.append(net.op(ScatterNd(), x, rows, net.normal(3, 6, 9)))
    values += net.results(TopK(3, 2), x, names=["top", "at"])
    values.append(net.op(ArgMax(1), x))
    values.append(net.op(Gather(0), x, net.constant(np.zeros((0,), np.int64))))
    net.gives(*values, tolerance=0.0)
    net.gives(net.op(CumSum(2), x))


def _recurrent(net: Forced) -> None:
    for op, gates in ((Lstm("bidirectional"), 4), (Gru("reverse"), 3)):
        d = 2 if op.direction == "bidirectional" else 1
        weights = net.weight(d, gates * 13, 7), net.weight(d, gates * 13, 13)
        x = net.normal(5, 2, 7)
        net.gives(*net.results(op, x, *weights, net.weight(d, 8 * 13 * gates // 4), names=["r"]))


def others() -> Forced:
    """Everything that is no convolution of float32."""
    net = Forced()
    for part in (_products, _functions, _images, _moves, _recurrent):
        part(net)
    return net


def network() -> Graph:
    """One of each thing that 8-bit kernels do, before it is quantized."""
    b, random = Builder("net"), np.random.default_rng(0)

    def layer(x: str, oc: int, k: int = 1, stride: int = 1, groups: int = 1) -> str:
        shape = (oc, b.types[x].shape[1] // groups, k, k)
        w = random.standard_normal(shape) * float(np.prod(shape[1:])) ** -0.5
        bias = random.standard_normal(oc).astype(np.float32) * 0.3
        op = Conv((stride,) * 2, ((k // 2, k // 2),) * 2, (1, 1), groups)
        return b.op(op, x, b.constant(w.astype(np.float32), "w"), b.constant(bias, "b"))

    x = b.op(Relu(), layer(b.input("x", (1, 3, 21, 17)), 16, 3, 2))
    y = b.op(Relu(), layer(x, 16, 3))
    x = b.op(Relu(), b.op(Add(), layer(y, 16), x))
    x = b.op(Add(), b.op(MaxPool((3, 3), (2, 2), SAME), x), b.op(MaxPool((1, 1), (2, 2), NONE), x))
    y = b.op(Clip(0.0, 6.0), layer(x, 16, 3, 1, 16))
    x = b.op(Concat(1), b.op(HardSwish(), layer(y, 24)), b.op(Relu(), layer(x, 20)))
    gate = b.op(Relu(), layer(b.op(ReduceMean((2, 3), True), x), 8))
    x = b.op(Mul(), x, b.op(Sigmoid(), layer(gate, 44)))
    pooled = b.op(AvgPool((2, 2), (2, 2), NONE), b.op(Relu(), layer(x, 12)))
    pooled = b.op(MaxPool((2, 2), (1, 1), NONE), pooled)
    flat = b.op(Flatten(1), pooled)
    weight = random.standard_normal((10, b.types[flat].shape[1])).astype(np.float32) * 0.1
    classes = b.op(Linear(), flat, b.constant(weight, "fc"))
    return b.graph(classes, x, y, output_names=["classes", "map", "depthwise"])


def quantized(graph: Graph, target: Cpu) -> Program:
    """`graph` in 8 bits, with the kernels and layouts that `codesign compile` would choose."""
    program = Program(apply(graph, "quantize-int8", calibrated(graph)))
    for name in ("place", "layout"):
        program = plugins.make("pass", name).run(program, Context(target=target))
    target.verify(program)
    return program
