"""Tensor-train decompositions of layers, and the chains that execute them."""

from math import isqrt

import numpy as np

from codesign.ir.graph import Graph, Node
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.shape import Reshape, Transpose
from codesign.passes.factorize.chain import Chain, Maker
from codesign.passes.factorize.low_rank import lost_share, spectrum

Cores = list[np.ndarray]


def split(extent: int) -> tuple[int, int]:
    """Two factors of `extent`, as near to each other as can be, the smaller first."""
    small = next(d for d in range(isqrt(extent), 0, -1) if extent % d == 0)
    return small, extent // small


def train(tensor: np.ndarray, energy: float) -> Cores:
    """Cores [r0, n, r1] of `tensor` that keep `energy` of its squared norm, in float64.

    TT-SVD (Oseledets, "Tensor-train decomposition", 2011, algorithm 1): each of the d - 1
    decompositions may lose the same share of the whole. The cores before it are orthogonal, so what
    they lose adds up to the error of the train.
    """
    rest = tensor.astype(np.float64)
    lost = lost_share(energy) * float((rest**2).sum()) / max(tensor.ndim - 1, 1)
    cores: Cores = []
    values: list[np.ndarray] = []
    rank = 1
    for extent in tensor.shape[:-1]:
        found = spectrum(rest.reshape(rank * extent, -1))
        kept = found.rank_within(lost)
        cores.append(found.u[:, :kept].reshape(rank, extent, kept))
        values.append(found.s[:kept])
        rank, rest = kept, found.s[:kept, None] * found.vt[:kept]
    return _balanced([*cores, rest.reshape(rank, tensor.shape[-1], 1)], values)


def _balanced(cores: Cores, values: list[np.ndarray]) -> Cores:
    """The same train, the singular `values` between two cores shared by both."""
    for i, s in enumerate(values):
        root = np.sqrt(np.where(s > 0, s, 1.0))
        cores[i] = cores[i] * root
        cores[i + 1] = cores[i + 1] / root[:, None, None]
    return cores


class ConvTrain:
    """A k x k convolution as 1x1, k x k and 1x1: the train of [C, taps, M]."""

    def __init__(self, graph: Graph, node: Node, energy: float) -> None:
        assert isinstance(node.op, Conv)
        self.node, self.op = node, node.op
        self.weight = graph.constants[node.operands[1]].array
        self.bias = graph.constants.get((*node.operands, "")[2])
        m, c = self.weight.shape[:2]
        tensor = self.weight.reshape(m, c, -1).transpose(1, 2, 0)
        self.cores = train(tensor, energy)

    @property
    def ranks(self) -> str:
        """The ranks, for notes."""
        return f"ranks {self.cores[1].shape[0]}, {self.cores[1].shape[2]}"

    @property
    def size(self) -> int:
        """Weights in all cores."""
        return sum(core.size for core in self.cores)

    def chain(self) -> Chain:
        """The three convolutions."""
        dtype, taps = self.weight.dtype, self.weight.shape[2:]
        ones, axes = (1,) * len(taps), len(taps)
        point = Conv(ones, ((0, 0),) * axes, ones)
        first = self.cores[0][0].T.reshape(-1, self.weight.shape[1], *ones)
        middle = self.cores[1].transpose(2, 0, 1)
        middle = middle.reshape(*middle.shape[:2], *taps)
        last = self.cores[2][:, :, 0].T.reshape(self.weight.shape[0], -1, *ones)
        name, weight, bias = self.node.name, self.node.operands[1], self.bias

        def made(maker: Maker, x: str) -> str:
            for number, (op, core) in enumerate(((point, first), (self.op, middle))):
                constant = maker.constant(core.astype(dtype), f"{weight}.core{number}")
                x = maker.add(op, x, constant, name=f"{name}.core{number}")
            constant = maker.constant(last.astype(dtype), f"{weight}.core2")
            rest = [] if bias is None else [maker.constant(bias.array, self.node.operands[2])]
            return maker.add(point, x, constant, *rest, name=name)

        return made


class MatrixTrain:
    """A linear layer or 1x1 convolution as a train of two cores over split rows and columns.

    W[(m1 m2), (c1 c2)] = sum over r of G1[m1, c1, r] G2[r, m2, c2] (Novikov et al., "Tensorizing
    neural networks", 2015), executed as two products with a transposition between them.
    """

    def __init__(self, graph: Graph, node: Node, energy: float) -> None:
        self.node = node
        self.weight = graph.constants[node.operands[1]].array
        self.bias = graph.constants.get((*node.operands, "")[2])
        self.x, self.y = graph.types[node.operands[0]].shape, graph.types[node.name].shape
        m, c = self.weight.shape[:2]
        (self.m1, self.m2), (self.c1, self.c2) = split(m), split(c)
        tensor = self.weight.reshape(self.m1, self.m2, self.c1, self.c2).transpose(0, 2, 1, 3)
        cores = train(tensor.reshape(self.m1 * self.c1, self.m2 * self.c2), energy)
        self.rank = cores[0].shape[2]
        self.left = cores[0].reshape(self.m1, self.c1 * self.rank)
        right = cores[1].reshape(self.rank, self.m2, self.c2)
        self.right = right.reshape(self.rank * self.m2, self.c2)

    @property
    def ranks(self) -> str:
        """The rank, for notes."""
        return f"rank {self.rank}, modes {self.m1}x{self.m2}, {self.c1}x{self.c2}"

    @property
    def size(self) -> int:
        """Weights in both cores."""
        return self.left.size + self.right.size

    def chain(self) -> Chain:
        """Both products over rows of features last; images are transposed at both ends."""
        image = len(self.weight.shape) > 2
        name, weight, dtype = self.node.name, self.node.operands[1], self.weight.dtype
        bias = self.bias
        spatial = self.x[2:] if image else ()
        outer = (self.x[0], *spatial) if image else self.x[:-1]
        rows = int(np.prod(outer))
        axes = tuple(range(2, len(self.x)))

        def made(maker: Maker, x: str) -> str:
            def step(op: Reshape | Transpose, what: str, value: str) -> str:
                return maker.add(op, value, name=f"{name}.{what}")

            if image:
                x = step(Transpose((0, *axes, 1)), "last", x)
            x = step(Reshape((rows, self.c1, self.c2)), "modes", x)
            right = maker.constant(self.right.astype(dtype), f"{weight}.core1")
            x = maker.add(Linear(), x, right, name=f"{name}.core1")
            x = step(Reshape((rows, self.c1, self.rank, self.m2)), "split", x)
            x = step(Transpose((0, 3, 1, 2)), "swap", x)
            x = step(Reshape((rows, self.m2, self.c1 * self.rank)), "join", x)
            left = maker.constant(self.left.astype(dtype), f"{weight}.core0")
            x = maker.add(Linear(), x, left, name=f"{name}.core0")
            x = step(Transpose((0, 2, 1)), "order", x)
            x = step(Reshape((*outer, self.m1 * self.m2)), "rows", x)
            if bias is not None:
                shift = maker.constant(bias.array, self.node.operands[2])
                x = maker.add(Add(), x, shift, name=f"{name}.shifted")
            if image:
                x = step(Transpose((0, len(spatial) + 1, *range(1, len(spatial) + 1))), "image", x)
            return x

        return made
