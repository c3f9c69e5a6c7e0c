"""What the docstring of every pass shows, before and after, is what the pass does."""

import re
from collections.abc import Callable

import numpy as np
import pytest

from codesign import plugins
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.binary import Binary
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu, Sigmoid
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.encode import Encode
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.unary import Neg, Sqrt
from codesign.ir.program import Program
from codesign.rewrite.context import Context
from codesign.rewrite.pass_ import Pass
from codesign.targets.tvm.target import Cpu
from tests.passes.bricks import Bricks
from tests.passes.harness import calibrated

PADDED = ((1, 1), (1, 1))


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _low_rank(m: int, k: int, rank: int) -> np.ndarray:
    random = np.random.default_rng(0)
    product: np.ndarray = random.standard_normal((m, rank)) @ random.standard_normal((rank, k))
    return product.astype(np.float32)


def _canonicalize(b: Builder) -> str:
    x = b.input("x", (4,))
    return b.op(Mul(), x, b.op(Sigmoid(), x, name="s"), name="y")


def _common(b: Builder) -> str:
    x = b.input("x", (2,))
    return b.op(Add(), b.op(Relu(), x, name="a"), b.op(Relu(), x, name="b"), name="c")


def _dead(b: Builder) -> str:
    x = b.input("x", (2,))
    a = b.op(Relu(), x, name="a")
    b.op(Neg(), x, name="b")
    return a


def _svd(b: Builder) -> str:
    w = b.constant(_low_rank(512, 512, 32), "w")
    return b.op(Linear(), b.input("x", (1, 512)), w, name="y")


def _tt(b: Builder) -> str:
    flat = _low_rank(64, 64, 16)
    middle = np.random.default_rng(1).standard_normal((1, 1, 3, 3))
    w = b.constant((flat[:, :, None, None] * middle).astype(np.float32), "w")
    return b.op(Conv(pads=PADDED), b.input("x", (1, 64, 8, 8)), w, name="y")


def _norm(b: Builder) -> str:
    x, w = b.input("x", (1, 3, 8, 8)), b.constant(_random(4, 3, 3, 3), "w")
    names = [
        b.constant(np.full(4, v, np.float32), n) for n, v in zip("sbmv", (2, 3, 1, 4), strict=True)
    ]
    return b.op(BatchNorm(), b.op(Conv(), x, w, name="a"), *names, name="y")


def _constants(b: Builder) -> str:
    a = b.op(Sqrt(), b.constant(np.full((), 4, np.float32), "c"), name="a")
    return b.op(Mul(), b.input("x", (2,)), a, name="y")


def _conv(b: Builder) -> str:
    x = b.input("x", (1, 16, 8, 8))
    return b.op(Conv(), x, b.constant(_random(16, 16, 3, 3), "w"), name="y")


def _conv_relu(b: Builder) -> str:
    x = b.input("x", (1, 16, 8, 8))
    a = b.op(Conv(), x, b.constant(_random(16, 16, 3, 3), "w"), name="a")
    return b.op(Relu(), a, name="y")


def _pointwise(b: Builder) -> str:
    x = b.input("x", (1, 64, 8, 8))
    return b.op(Conv(), x, b.constant(_random(16, 64, 1, 1), "w"), name="y")


def _biased(b: Builder) -> str:
    x, w = b.input("x", (1, 3, 8, 8)), b.constant(_random(4, 3, 3, 3), "w")
    y = b.op(Conv(), x, w, b.constant(_random(4), "b"), name="y")
    z = b.op(Relu(), y, name="z")
    return b.op(Conv(), z, b.constant(_random(2, 4, 1, 1), "k"), name="u")


def _four(b: Builder) -> str:
    value = b.input("x", (1, 3, 8, 8))
    for name, weight, shape in (("y", "w", (8, 3, 3, 3)), ("u", "k", (8, 8, 3, 3))):
        value = b.op(Conv(), value, b.constant(_random(*shape), weight), name=name)
        value = b.op(Relu(), value, name="z") if name == "y" else value
    return b.op(Conv(), value, b.constant(_random(4, 8, 1, 1), "l"), name="v")


def _bits(b: Builder) -> str:
    form = Binary(Const(np.full(8, 0.5), "float32"), 0)
    weight = np.where(_random(8, 8, 3, 3) >= 0, 0.5, -0.5).astype(np.float32)
    z = b.op(Relu(), b.input("x", (1, 8, 6, 6)), name="z")
    bits = b.op(Encode(), z, name="z.bits")
    b.types[bits] = b.types[bits].with_encoding(Int(1, Const(0.8, "float32"), signed=False))
    return b.op(Conv(), bits, b.constant(weight, "k.binary", (form,)), name="u")


EXAMPLES: dict[str, tuple[str, Callable[[Builder], str]]] = {
    "assign-bits": ("{snr=20}", _biased),
    "binarize": ("", _four),
    "canonicalize": ("", _canonicalize),
    "common-subexpressions": ("", _common),
    "dead-code": ("", _dead),
    "factorize-svd": ("{keep=0.999}", _svd),
    "factorize-tt": ("{keep=0.999}", _tt),
    "fold-batch-norm": ("", _norm),
    "fold-constants": ("", _constants),
    "layout": ("", _conv),
    "place": ("", _conv_relu),
    "prune-magnitude": ("{pattern=2:4}", _pointwise),
    "quantize-int8": ("", _biased),
    "recover": ("{epochs=1,batch=4}", _bits),
}


def shown(text: str, program: Program) -> list[str]:
    """The nodes that the documented lines `text` do not show; fails if a line is not there."""
    printed = [line.strip() for line in str(program).splitlines()]
    for line in (part.strip() for part in text.strip().splitlines()):
        pattern = re.escape(line).replace(re.escape("..."), ".*")
        found = next((p for p in printed if re.fullmatch(pattern, p)), None)
        assert found is not None, f"{line!r} is not among\n" + "\n".join(printed)
        printed = printed[printed.index(found) + 1 :] if line[0] == "%" else printed
    names = set(re.findall(r"^\s*(%[\w.]+): ", text, re.MULTILINE))
    return [node.name for node in program.graph.nodes if f"%{node.name}" not in names]


def context_for(graph: Graph) -> Context:
    """A context with all that a pass may ask for, but a target only where it must be asked."""
    context = calibrated(graph)
    context.training, context.original = context.calibration, graph
    return context


@pytest.mark.parametrize("name", sorted(plugins.table("pass")))
def test_docstring(name: str) -> None:
    options, build = EXAMPLES[name]
    step: Pass = plugins.make("pass", name + options)
    about, before, after = re.split(r"^ *(?:Before|After):$", type(step).__doc__ or "", flags=re.M)
    assert about.strip()
    builder = Builder("example")
    program = Program(builder.graph(build(builder)))
    context = context_for(program.graph)
    if name == "assign-bits":
        context.target = Bricks()
    if name in ("place", "layout"):
        context.target = Cpu("avx512")
    if name == "layout":
        program = plugins.make("pass", "place").run(program, context)
    assert shown(before, program) == []
    rewritten = step.run(program, context)
    assert shown(after, rewritten) == []
