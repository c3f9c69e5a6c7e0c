"""Float32 convolution kernels against torch in float64, over drawn shapes, schedules and ISAs."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import RefusedError
from codesign.targets.tvm.epilogue import Epilogue, identity
from codesign.targets.tvm.isa import Isa, isa
from codesign.targets.tvm.kernels import (
    conv_depthwise,
    conv_direct,
    conv_generic,
    conv_pointwise,
    conv_stem,
    conv_upsample,
)
from codesign.targets.tvm.kernels.shapes import ConvShape, default_block
from codesign.targets.tvm.pipeline import register
from tests.targets.tvm.epilogues import relu_and_residual

Array = NDArray[np.float32]


def _runnable() -> list[Isa]:
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    names = ("avx512-vnni", "avx512", "avx2", "x86", "arm")
    return [isa(n) for n in names if flags.issuperset(isa(n).requires)][:4]


RUNNABLE = _runnable()
BLOCKED = [conv_direct, conv_pointwise, conv_stem, conv_depthwise]


def _block(x: Array, block: int) -> Array:
    n, c, *rest = x.shape
    blocks = -(-c // block)
    full = np.zeros((n, blocks * block, *rest), x.dtype)
    full[:, :c] = x
    return np.ascontiguousarray(np.moveaxis(full.reshape(n, blocks, block, *rest), 2, -1))


def _unblock(x: Array, channels: int) -> Array:
    n, blocks, *rest, block = x.shape
    return np.moveaxis(x, -1, 2).reshape(n, blocks * block, *rest)[:, :channels]


def _expected(shape: ConvShape, x: Array, w: Array) -> NDArray[np.float64]:
    a, b = torch.tensor(x).double(), torch.tensor(w).double()
    axes = len(shape.spatial)
    if not shape.transposed:
        pads = [p for pair in reversed(shape.pads) for p in pair]
        conv: Any = (torch.conv1d, torch.conv2d, torch.conv3d)[axes - 1]
        padded = torch.nn.functional.pad(a, pads)
        y = conv(padded, b, None, shape.strides, 0, shape.dilations, shape.groups)
        return np.asarray(y.numpy())
    conv = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[axes - 1]
    y = conv(a, b, None, shape.strides, 0, 0, shape.groups, shape.dilations).numpy()
    grown = np.pad(y, [(0, 0), (0, 0)] + [(0, p) for p in shape.output_pads or [0] * axes])
    crop = tuple(slice(p[0], p[0] + o) for p, o in zip(shape.pads, shape.out_spatial, strict=True))
    return np.asarray(grown[(slice(None), slice(None), *crop)])


def _draw(shape: ConvShape, seed: int) -> tuple[Array, Array]:
    r = np.random.default_rng(seed)
    x = r.standard_normal(shape.plain_input).astype(np.float32)
    return x, r.standard_normal(shape.weight).astype(np.float32)


def _run(
    kernel: ModuleType,
    shape: ConvShape,
    target: Isa,
    point: object,
    epilogue: Epilogue,
    *extra: Array,
) -> tuple[Array, Array, Array]:
    """Compile and run; returns (output in the plain layout, x, w)."""
    x, w = _draw(shape, 0)
    func = kernel.emit("k", shape, target, point, epilogue)
    module = tvm.compile(
        tvm.IRModule({"k": func}),
        target=tvm.target.Target(target.tvm_target),
        tir_pipeline=register(),
    )
    blocked = kernel is not conv_generic
    data = _block(x, shape.block) if blocked and kernel is not conv_stem else x
    out = np.full(shape.blocked_output if blocked else shape.plain_output, np.nan, np.float32)
    buffers = [data, kernel.pack_weight(w, shape, target, point), *extra, out]
    tensors = [tvm.runtime.tensor(b) for b in buffers]
    module["k"](*tensors)
    result = tensors[-1].numpy()
    assert np.isfinite(result).all()
    return (_unblock(result, shape.oc) if blocked else result), x, w


def _close(actual: Array, expected: NDArray[np.float64]) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


@st.composite
def _axis(draw: st.DrawFn, longest: int) -> tuple[int, int, int, tuple[int, int], int]:
    """(size, kernel, stride, pads, dilation) with at least one output."""
    kernel, stride, dilation = (
        draw(st.integers(1, 5)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 2)),
    )
    reach = (kernel - 1) * dilation
    pads = (draw(st.integers(0, reach)), draw(st.integers(0, reach)))
    return draw(st.integers(max(1, reach + 1 - sum(pads)), longest)), kernel, stride, pads, dilation


@st.composite
def _shapes(draw: st.DrawFn, kernel: ModuleType) -> ConvShape:
    block = draw(st.sampled_from([8, 16]))
    axes = [draw(_axis(20)), draw(_axis(33))]
    if kernel is conv_pointwise:
        axes = [(s, 1, t, (0, 0) if t == 1 else p, 1) for s, _, t, p, _ in axes]
    groups = draw(st.integers(1, 2)) if kernel is conv_direct else 1
    ic = draw(st.integers(1, 40)) if groups == 1 else 2 * block
    oc = draw(st.integers(1, 70)) if groups == 1 else 4 * block
    if kernel is conv_stem:
        ic = draw(st.integers(1, 5))
    if kernel is conv_depthwise:
        groups = oc = ic
    size, taps, strides, pads, dilations = zip(*axes, strict=True)
    n = draw(st.integers(1, 2))
    return ConvShape(n, ic, oc, size, taps, strides, pads, dilations, groups, block)


@pytest.mark.parametrize("kernel", BLOCKED, ids=lambda k: k.__name__.rpartition(".")[2])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_blocked_kernels(kernel: ModuleType, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(RUNNABLE))
    shape = data.draw(_shapes(kernel))
    shape = replace(shape, block=max(shape.block, target.f32_lanes))
    if not kernel.accepts(shape):  # a group that the wider block no longer divides
        shape = replace(shape, groups=1)
    points = [kernel.default(shape, target), *kernel.space(shape, target)]
    actual, x, w = _run(
        kernel, shape, target, data.draw(st.sampled_from(points)), identity("float32")
    )
    _close(actual, _expected(shape, x, w))


@st.composite
def _any_shape(draw: st.DrawFn) -> ConvShape:
    axes = [draw(_axis(9)) for _ in range(draw(st.integers(1, 3)))]
    groups = draw(st.integers(1, 3))
    ic, oc = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 5))
    size, taps, strides, pads, dilations = zip(*axes, strict=True)
    transposed = draw(st.booleans())
    extra: tuple[int, ...] = ()
    if transposed:
        pads = tuple((min(a, 1), 0) for a, _ in pads)
        extra = tuple(draw(st.integers(0, s - 1)) for s in strides)
    shape = ConvShape(
        draw(st.integers(1, 2)), ic, oc, size, taps, strides, pads, dilations, groups, 8,
        transposed, extra,
    )  # fmt: skip
    return shape if min(shape.out_spatial) > 0 else replace(shape, pads=((0, 0),) * len(axes))


@settings(deadline=None, max_examples=30)
@given(shape=_any_shape(), data=st.data())
def test_generic(shape: ConvShape, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(RUNNABLE))
    point = data.draw(st.sampled_from(conv_generic.space(shape, target)))
    actual, x, w = _run(conv_generic, shape, target, point, identity("float32"))
    _close(actual, _expected(shape, x, w))


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_upsample(data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(RUNNABLE))
    size = (data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9)))
    taps = (data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)))
    n, ic, oc = (data.draw(st.integers(1, most)) for most in (2, 40, 40))
    pads, block = ((0, 0), (0, 0)), max(8, target.f32_lanes)
    shape = ConvShape(n, ic, oc, size, taps, taps, pads, (1, 1), 1, block, True)
    points = [
        conv_upsample.default(shape, target),
        data.draw(st.sampled_from(conv_upsample.space(shape, target))),
    ]
    for point in points:
        actual, x, w = _run(conv_upsample, shape, target, point, identity("float32"))
        _close(actual, _expected(shape, x, w))


def _square(
    ic: int, oc: int, size: int, kernel: int, stride: int = 1, groups: int = 1
) -> ConvShape:
    pad = (kernel // 2, kernel // 2)
    return ConvShape(
        1, ic, oc, (size, size), (kernel, kernel), (stride, stride), (pad, pad), (1, 1), groups
    )


NETWORK_LAYERS = [
    (conv_stem, _square(3, 64, 56, 7, 2)),
    (conv_direct, _square(32, 32, 56, 3)),
    (conv_direct, _square(64, 32, 14, 3)),
    (conv_direct, _square(64, 64, 7, 3)),
    (conv_direct, _square(32, 64, 14, 3, 2)),
    (conv_pointwise, _square(64, 96, 7, 1)),
    (conv_pointwise, _square(32, 64, 28, 1, 2)),
    (conv_pointwise, _square(24, 144, 28, 1)),
    (conv_depthwise, _square(96, 96, 28, 3, 2, 96)),
    (conv_depthwise, _square(40, 40, 14, 5, 1, 40)),
    (conv_direct, _square(16, 16, 1, 3)),
]


@pytest.mark.parametrize(("kernel", "shape"), NETWORK_LAYERS)
def test_default_schedules_of_network_layers(kernel: ModuleType, shape: ConvShape) -> None:
    target = RUNNABLE[0]
    actual, x, w = _run(kernel, shape, target, kernel.default(shape, target), identity("float32"))
    _close(actual, _expected(shape, x, w))


@pytest.mark.parametrize("kernel", BLOCKED, ids=lambda k: k.__name__.rpartition(".")[2])
def test_epilogue_sees_physical_indices(kernel: ModuleType) -> None:
    """relu(conv + bias) + residual, the residual read at the output's own index."""
    target = RUNNABLE[0]
    channels = 3 if kernel is conv_stem else 24
    groups, oc = (24, 24) if kernel is conv_depthwise else (1, 40)
    shape = _square(channels, oc, 9, 1 if kernel is conv_pointwise else 3, 1, groups)
    epilogue, bias, residual = relu_and_residual(shape)
    actual, x, w = _run(
        kernel, shape, target, kernel.default(shape, target), epilogue, bias, residual
    )
    linear = _expected(shape, x, w) + bias.reshape(-1)[:oc].reshape(1, oc, 1, 1)
    _close(actual, np.maximum(linear, 0) + _unblock(residual, oc))


@pytest.mark.parametrize("kernel", BLOCKED, ids=lambda k: k.__name__.rpartition(".")[2])
@pytest.mark.parametrize("name", ["arm", "arm-dot"])
def test_compiles_for_arm(kernel: ModuleType, name: str) -> None:
    target = isa(name)
    groups = 24 if kernel is conv_depthwise else 1
    shape = _square(24, 24, 8, 1 if kernel is conv_pointwise else 3, 1, groups)
    shape = replace(shape, block=default_block(target))
    func = kernel.emit("k", shape, target, kernel.default(shape, target), identity("float32"))
    module = tvm.compile(
        tvm.IRModule({"k": func}),
        target=tvm.target.Target(target.tvm_target),
        tir_pipeline=register(),
    )
    assembly = module.mod.inspect_source("asm")
    assert "fmla\tv" in assembly


def test_no_spills_in_direct_convolution() -> None:
    """The widest default tile stays in registers: no vector goes through the stack."""
    target = isa("avx512-vnni")
    shape = _square(64, 64, 56, 3)
    func = conv_direct.emit(
        "k", shape, target, conv_direct.default(shape, target), identity("float32")
    )
    module = tvm.compile(
        tvm.IRModule({"k": func}),
        target=tvm.target.Target(target.tvm_target),
        tir_pipeline=register(),
    )
    lines = module.mod.inspect_source("asm").splitlines()
    assert sum("vfmadd231ps" in line and "zmm" in line for line in lines) > 28
    assert not [line for line in lines if "zmm" in line and "rsp" in line]


@pytest.mark.parametrize("target", [isa(n) for n in ("avx512-vnni", "avx2", "x86", "arm")])
def test_every_shape_has_a_legal_default(target: Isa) -> None:
    for kernel, shape in NETWORK_LAYERS:
        there = replace(shape, block=default_block(target))
        assert kernel.default(there, target) in kernel.space(there, target)


def test_refuses_by_name() -> None:
    shape = _square(24, 24, 8, 3, 1, 2)
    with pytest.raises(RefusedError, match=r"conv_direct.*groups of whole channel blocks"):
        conv_direct.emit(
            "k", shape, isa("avx2"), conv_direct.Point(1, 1, 1, 1), identity("float32")
        )
    with pytest.raises(RefusedError, match=r"conv_depthwise.*one channel a group"):
        conv_depthwise.emit(
            "k", shape, isa("avx2"), conv_depthwise.Point(1, 1), identity("float32")
        )
