"""8-bit convolutions against sums in numpy, bit for bit."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.errors import RefusedError
from codesign.targets.tvm.isa import isa
from codesign.targets.tvm.kernels import conv_int8, int8_layout, stem_int8
from codesign.targets.tvm.kernels.int8_tile import Point
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.requantize import requantize
from tests.targets.tvm import int8_oracle as oracle

POINTWISE = ConvShape(1, 19, 33, (5, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
THREE = ConvShape(2, 20, 40, (9, 11), (3, 3), (2, 1), ((1, 1), (1, 2)), (1, 1))


def check(
    kernel: ModuleType,
    shape: ConvShape,
    machine: str,
    zero: int = 0,
    extreme: bool = False,
    seed: int = 0,
    point: Point | None = None,
) -> None:
    """Run a kernel on random or extreme numbers and compare every code."""
    random, target = np.random.default_rng(seed), isa(machine)
    q = oracle.codes(random, (shape.n, shape.ic, *shape.spatial), extreme)
    w = oracle.weights(random, shape.weight, extreme)
    acc = oracle.convolve(q, w, shape, zero)
    scaling = oracle.scalings(random, shape.oc, float(acc.std()) + 1)
    rescaled = requantize(scaling, int8_layout.channels(shape.oc), target)
    point = point or kernel.default(shape, target)
    func = kernel.emit("kernel", shape, target, point, rescaled.epilogue, zero)
    packed = kernel.pack_weight(w, shape, target, point)
    x = q if kernel is stem_int8 else oracle.physical(q)
    out = oracle.call(func, target, x, packed, *rescaled.constants.values(), oracle.empty(shape))
    np.testing.assert_array_equal(oracle.logical(out, shape.oc), oracle.rescale(acc, scaling))


@settings(deadline=None, max_examples=8)
@given(oracle.convolutions(), st.integers(0, 255), st.booleans(), st.integers(0, 99))
def test_any_convolution(shape: ConvShape, zero: int, extreme: bool, seed: int) -> None:
    machine = oracle.runnable()[seed % len(oracle.runnable())]
    check(conv_int8, shape, machine, zero, extreme, seed)


@settings(deadline=None, max_examples=8)
@given(oracle.convolutions(most_ic=4, most_oc=20), st.integers(0, 255), st.integers(0, 99))
def test_any_stem(shape: ConvShape, zero: int, seed: int) -> None:
    machine = oracle.runnable()[seed % len(oracle.runnable())]
    if shape.dilations[-1] != 1:
        with pytest.raises(RefusedError, match="dilation"):
            stem_int8.default(shape, isa(machine))
        return
    check(stem_int8, shape, machine, zero, seed=seed)


@pytest.mark.parametrize("machine", oracle.runnable())
@pytest.mark.parametrize("shape", [POINTWISE, THREE])
def test_each_instruction_set(machine: str, shape: ConvShape) -> None:
    check(conv_int8, shape, machine, zero=200, extreme=True)


def test_every_kind_of_tile_gives_the_same() -> None:
    machine = oracle.runnable()[0]
    points = conv_int8.space(THREE, isa(machine))
    for point in points[:: max(1, len(points) // 5)]:
        check(conv_int8, THREE, machine, zero=9, point=point)


def test_the_largest_sums_do_not_saturate() -> None:
    deep = ConvShape(1, 1024, 3, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    for machine in oracle.runnable():
        check(conv_int8, deep, machine, extreme=True)


def test_groups_are_refused() -> None:
    grouped = ConvShape(1, 4, 4, (5, 5), (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), groups=2)
    with pytest.raises(RefusedError, match="one group"):
        conv_int8.default(grouped, isa("avx2"))


def test_windows_that_see_only_padding_are_refused() -> None:
    lost = ConvShape(1, 4, 4, (1, 5), (1, 3), (3, 1), ((2, 0), (0, 0)), (1, 1))
    with pytest.raises(RefusedError, match="reaches into"):
        conv_int8.default(lost, isa("avx2"))


def test_padding_below_alone() -> None:
    below = ConvShape(1, 1, 1, (1, 1), (1, 1), (1, 1), ((0, 1), (0, 0)), (1, 1))
    check(conv_int8, below, oracle.runnable()[0])


@pytest.mark.parametrize(("machine", "instruction"), [("arm-dot", "sdot"), ("arm", "mla")])
def test_code_for_arm_uses_its_instructions(machine: str, instruction: str) -> None:
    import tvm

    from codesign.targets.tvm.epilogue import identity

    target = isa(machine)
    point = conv_int8.default(POINTWISE, target)
    func = conv_int8.emit("kernel", POINTWISE, target, point, identity("int32"))
    module = tvm.IRModule({"kernel": func})
    library = tvm.compile(module, target=tvm.target.Target(target.tvm_target))
    assert instruction in library.mod.inspect_source("asm")
