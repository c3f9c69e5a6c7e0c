"""Separable convolutions and inverted residual blocks as small networks, and how to place them."""

from dataclasses import dataclass

from hypothesis import strategies as st

from codesign import plugins
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.program import Assignment, Point, Program
from codesign.mapping.place import Choice, together
from codesign.mapping.target import Target
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pass
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net


@dataclass(frozen=True)
class Case:
    """A block: `wide` expanded channels, None for none."""

    n: int
    channels: int
    size: tuple[int, int]
    wide: int | None
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    out: int

    def net(self, seed: int = 0, last: bool = False) -> tuple[Net, str]:
        """The block with a residual addition where shapes allow; `last`: one more convolution."""
        net = Net(seed)
        x = y = net.normal(self.n, self.channels, *self.size)
        c = self.wide or self.channels
        if self.wide:
            y = net.op(Clip(0.0, 6.0), conv(net, Conv(), y, c))
        op = Conv(self.strides, self.pads, groups=c)
        y = net.op(Clip(0.0, 6.0), conv(net, op, y, c, self.kernel))
        y = conv(net, Conv(), y, self.out)
        if net.types[x].shape == net.types[y].shape:
            y = net.op(Add(), y, x)
        return net, conv(net, Conv(), y, 5) if last else y


def conv(net: Net, op: Conv, x: str, out: int, kernel: tuple[int, int] = (1, 1)) -> str:
    """A convolution with random weights and biases."""
    depth = net.types[x].shape[1] // op.groups
    return net.op(op, x, net.weight(out, depth, *kernel), net.weight(out))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Odd sizes, also single pixels; asymmetric pads; channels that fill no block."""
    expands = draw(st.booleans())
    kernel = tuple(draw(st.sampled_from([1, 2, 3, 5])) for _ in range(2))
    pads = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    size = tuple(
        draw(st.integers(max(1, k - sum(p)), 12)) for k, p in zip(kernel, pads, strict=True)
    )
    strides = tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in range(2))
    channels = draw(st.sampled_from([1, 3, 16, 20, 70]))
    wide = draw(st.sampled_from([5, 16, 33, 72])) if expands else None
    out = draw(st.sampled_from([channels, 7, 24]))
    n = draw(st.sampled_from([1, 1, 2]))
    return Case(n, channels, size, wide, kernel, strides, pads, out)  # type: ignore[arg-type]


def quantized(net: Net, result: str) -> Graph:
    """The graph of `net` on 8-bit codes."""
    step = plugins.make("pass", "quantize-int8{slower=true}")
    data = {name: array.repeat(4, axis=0) for name, array in net.data.items()}
    context = Context(target=Cpu(), calibration=Dataset(data))
    return run_pass(Program(net.graph(result)), step, context).graph


def whole(graph: Graph, target: Target) -> Choice:
    """The kernel for most layers that begins first in `graph`."""
    program = Program(graph)
    first = next(node for node in graph.nodes if node.kind == "conv")
    return list(together(first, program, target, set()))[-1]


def fused(graph: Graph, target: Target, choice: Choice, point: Point) -> Program:
    """`graph` with `choice` at schedule `point` for its layers and the best kernels elsewhere."""
    kernel, group, _ = choice
    placed = target.choose_kernels(Program(graph))
    last, placement = group.names[-1], []
    for node in graph.nodes:
        if node.name == last:
            placement.append(Assignment(kernel.name, group.names, point))
        for assignment in placed.placement:
            apart = not set(assignment.nodes) & set(group.names)
            if apart and assignment.nodes[-1] == node.name:
                placement.append(assignment)
    covered = {name for a in placement for name in a.nodes}
    assert covered == {node.name for node in graph.nodes}
    laid = target.choose_layouts(Program(graph, target.spec, tuple(placement)))
    target.verify(laid)
    return laid
