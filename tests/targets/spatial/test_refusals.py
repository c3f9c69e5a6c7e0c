"""What arrays do not take, and what is said of it."""

import numpy as np
import pytest

import codesign as cd
from codesign import plugins
from codesign.errors import UnsupportedModelError
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings.integer import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.recurrent import Lstm
from codesign.ir.program import Program
from codesign.mapping.check import check
from codesign.mapping.target import Target


def conv(kernel: int, bits: int | None = None) -> Graph:
    """A convolution; its input in codes of so many bits, if any."""
    b = Builder("one")
    x = b.input("x", (1, 2, 40, 40))
    if bits is not None:
        b.types[x] = b.types[x].with_encoding(Int(bits, Const(np.float32(0.1))))
    w = b.constant(np.ones((4, 2, kernel, kernel), np.float32), "w")
    return b.graph(b.op(Conv(), x, w, name="y"))


def target(name: str) -> Target:
    found: Target = plugins.make("target", name)
    return found


def test_a_layer_that_cannot_map_says_by_how_much_and_what_helps() -> None:
    (verdict,) = check(Program(conv(13)), target("eyeriss"))
    why = verdict.refusals["mapped"]
    assert not verdict.supported
    assert why.demand == "loop r has 13 iterations"
    assert why.gap == "1 too many at a time"
    assert verdict.json()["refusals"]["mapped"]["gap"] == why.gap
    assert "axis rows" in why.remedy
    with pytest.raises(UnsupportedModelError, match="1 too many at a time; make axis rows longer"):
        cd.estimate(conv(13), "eyeriss")


def test_bits_that_the_datapath_lacks() -> None:
    (verdict,) = check(Program(conv(3, bits=16)), target("tpu_v1"))
    why = verdict.refusals["mapped"]
    assert why.demand == "inputs have 16 bits"
    assert why.bound == "the datapath of tpu_v1 takes 8"
    assert why.remedy == "assign at most 8 bits to them"
    assert check(Program(conv(3, bits=16)), target("eyeriss"))[0].supported


def test_recurrent_layers_say_what_would_help() -> None:
    b, random = Builder("recurrent"), np.random.default_rng(0)

    def weight(name: str, *shape: int) -> str:
        return b.constant(random.normal(size=shape).astype(np.float32), name)

    x = b.input("x", (5, 1, 3))
    y, *_ = b.results(Lstm(), x, weight("w", 1, 16, 3), weight("r", 1, 16, 4), names=["y"])
    verdicts = check(Program(b.graph(y)), target("eyeriss"))
    why = verdicts[0].refusals["host"]
    assert not verdicts[0].supported and "torch.nn.RNNCell, LSTMCell" in why.remedy
