"""Winograd convolutions against torch in float64: shapes, schedules, ISAs, errors, placement."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codesign.errors import RefusedError
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.mapping.group import Group
from codesign.targets.tvm.cost import Machine
from codesign.targets.tvm.epilogue import Epilogue, identity
from codesign.targets.tvm.host import host_isa
from codesign.targets.tvm.isa import ISAS, Isa, isa
from codesign.targets.tvm.kernels import conv_winograd as kernel
from codesign.targets.tvm.kernels.shapes import ConvShape, default_block
from codesign.targets.tvm.kernels.winograd import ERROR, Scheme, matrices
from codesign.targets.tvm.kernels.winograd_schedule import cycles
from codesign.targets.tvm.patterns.conv_winograd import ConvWinograd
from codesign.targets.tvm.pipeline import register
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.epilogues import relu_and_residual
from tests.targets.tvm.harness import Net

Array = NDArray[np.float32]
HOST = isa(host_isa())


def _runnable() -> list[Isa]:
    same = (i for i in ISAS.values() if i.architecture == HOST.architecture)
    return [i for i in same if set(i.requires) <= set(HOST.requires)]


RUNNABLE = _runnable()


def _shape(
    ic: int, oc: int, size: tuple[int, int], target: Isa = HOST, n: int = 1, pad: int = 1
) -> ConvShape:
    pads = ((pad, pad), (pad, pad))
    return ConvShape(
        n, ic, oc, size, (3, 3), (1, 1), pads, (1, 1), 1, default_block(target)
    )  # fmt: skip


def _block(x: Array, block: int) -> Array:
    pad = -x.shape[1] % block
    full = np.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0)))
    return Tiled(1, block).encode(full)["values"]


def _unblock(y: Array, channels: int) -> Array:
    n, blocks, high, wide, block = y.shape
    return y.transpose(0, 1, 4, 2, 3).reshape(n, blocks * block, high, wide)[:, :channels]


def _compile(shape: ConvShape, target: Isa, point: kernel.Point, epilogue: Epilogue) -> Any:
    func = kernel.emit("k", shape, target, point, epilogue)
    machine = tvm.target.Target(target.tvm_target)
    return tvm.compile(tvm.IRModule({"k": func}), target=machine, tir_pipeline=register())


def _run(
    shape: ConvShape, target: Isa, point: kernel.Point, epilogue: Epilogue, *extra: Array
) -> tuple[Array, NDArray[np.float64]]:
    """The kernel's result and the exact one, both in the plain layout."""
    r = np.random.default_rng(0)
    x = r.standard_normal(shape.plain_input).astype(np.float32)
    w = r.standard_normal(shape.weight).astype(np.float32)
    out = np.full(shape.blocked_output, np.nan, np.float32)
    packed = kernel.pack_weight(w, shape, target, point)
    tensors = [tvm.runtime.tensor(b) for b in (_block(x, shape.block), packed, *extra, out)]
    _compile(shape, target, point, epilogue)["k"](*tensors)
    pads = [p for pair in reversed(shape.pads) for p in pair]
    padded = torch.nn.functional.pad(torch.from_numpy(x).double(), pads)
    want = torch.nn.functional.conv2d(padded, torch.from_numpy(w).double()).numpy()
    return _unblock(tensors[-1].numpy(), shape.oc), want


def _error(actual: Array, expected: NDArray[Any]) -> float:
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("m", [2, 4])
def test_matrices_filter_exactly(m: int) -> None:
    data, weight, product = matrices(Scheme(m))
    r = np.random.default_rng(m)
    d, g = r.standard_normal((m + 2, m + 2)), r.standard_normal((3, 3))
    got = product @ ((weight @ g @ weight.T) * (data @ d @ data.T)) @ product.T
    windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3))
    np.testing.assert_allclose(got, (windows * g).sum((2, 3)), atol=1e-13)


@st.composite
def _shapes(draw: st.DrawFn, target: Isa) -> ConvShape:
    pads = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    size = tuple(draw(st.integers(max(1, 3 - sum(p)), 19)) for p in pads)
    ic, oc, n = draw(st.integers(1, 70)), draw(st.integers(1, 70)), draw(st.integers(1, 3))
    return replace(_shape(ic, oc, (size[0], size[1]), target, n), pads=pads)


@settings(deadline=None, max_examples=12)
@given(data=st.data())
def test_any_shape_and_schedule(data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(RUNNABLE))
    shape = data.draw(_shapes(target))
    points = [kernel.default(shape, target), *kernel.space(shape, target)]
    point = data.draw(st.sampled_from(points))
    assert _error(*_run(shape, target, point, identity("float32"))) <= ERROR[point.m]


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("channels", [64, 512])
def test_error_bound_over_long_sums(channels: int, m: int) -> None:
    """Half the bound is enough for random numbers."""
    shape = _shape(channels, 32, (14, 14))
    point = next(p for p in kernel.space(shape, HOST) if p.m == m and p.tiles > 8)
    assert _error(*_run(shape, HOST, point, identity("float32"))) <= ERROR[m] / 2


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("size", [(5, 5), (7, 13), (19, 11), (1, 17)])
def test_error_bound_on_odd_sizes(size: tuple[int, int], m: int) -> None:
    """Tiles that stick out over the map, at both ends of the block sizes."""
    for channels, pad in ((37, 1), (16, 2)):
        shape = _shape(channels, 19, size, pad=pad)
        point = next(p for p in kernel.space(shape, HOST) if p.m == m)
        assert _error(*_run(shape, HOST, point, identity("float32"))) <= ERROR[m]


@pytest.mark.parametrize("size", [(12, 12), (9, 14)])
@pytest.mark.parametrize("target", RUNNABLE, ids=lambda i: i.name)
def test_epilogue_sees_physical_indices(target: Isa, size: tuple[int, int]) -> None:
    """relu(conv + bias) + residual, the residual read at the output's own index."""
    shape = _shape(24, 40, size, target, 2)
    epilogue, bias, residual = relu_and_residual(shape)
    point = kernel.default(shape, target)
    actual, linear = _run(shape, target, point, epilogue, bias, residual)
    biased = linear + bias.reshape(-1)[: shape.oc].reshape(1, -1, 1, 1)
    want = np.maximum(biased, 0) + _unblock(residual, shape.oc)
    assert _error(actual, want) <= ERROR[point.m]


def test_infinities_stay_in_their_windows() -> None:
    """What lies outside a tile's patch, padding too, is never multiplied with it."""
    shape = _shape(16, 16, (8, 8))
    point = next(p for p in kernel.space(shape, HOST) if p.m == 4)
    x = np.zeros(shape.plain_input, np.float32)
    x[0, 0, 0, 0] = np.inf
    w = np.ones(shape.weight, np.float32)
    out = np.zeros(shape.blocked_output, np.float32)
    buffers = (_block(x, shape.block), kernel.pack_weight(w, shape, HOST, point), out)
    tensors = [tvm.runtime.tensor(b) for b in buffers]
    _compile(shape, HOST, point, identity("float32"))["k"](*tensors)
    far = _unblock(tensors[-1].numpy(), 16)[0, :, 4:, 4:]
    np.testing.assert_array_equal(far, 0)


@pytest.mark.parametrize("name", ["arm", "arm-dot", "avx512", "avx2", "generic"])
def test_compiles_for_others(name: str) -> None:
    target = isa(name)
    shape = _shape(24, 24, (8, 8), target)
    module = _compile(shape, target, kernel.default(shape, target), identity("float32"))
    fused = {"arm": "fmla\tv", "avx512": "zmm", "avx2": "vfmadd231ps"}.get(name.split("-")[0], "")
    assert fused in module.mod.inspect_source("asm")


def test_products_stay_in_registers() -> None:
    """The inner loop of the matrix products loads and multiplies, and spills nothing."""
    target = isa("avx512-vnni")
    shape = _shape(64, 64, (56, 56), target)
    module = _compile(shape, target, kernel.Point(4, 28, 14, 2, 4, 1), identity("float32"))
    lines = module.mod.inspect_source("asm").splitlines()
    adds = [i for i, line in enumerate(lines) if "vfmadd231ps\t" in line and "{1to16}" not in line]
    runs = np.split(adds, np.flatnonzero(np.diff(adds) > 3) + 1)
    longest = max(runs, key=len)
    assert len(longest) >= 28
    assert not [line for line in lines[longest[0] : longest[-1]] if "rsp" in line]


def _layer(net: Net, x: str, ic: int, oc: int, op: Conv) -> str:
    return net.op(op, x, net.weight(oc, ic // op.groups, 3, 3), net.weight(oc))


def _conv(stride: int = 1, dilation: int = 1, groups: int = 1) -> Conv:
    return Conv((stride, stride), ((dilation, dilation),) * 2, (dilation, dilation), groups)


@pytest.mark.parametrize("target", [Cpu(), Cpu(threads=2), Cpu("avx2")], ids=lambda t: t.spec)
def test_residual_block(target: Cpu) -> None:
    net = Net()
    x = net.normal(1, 64, 28, 28)
    y = net.op(Relu(), _layer(net, x, 64, 64, _conv()))
    z = net.op(Relu(), net.op(Add(), _layer(net, y, 64, 64, _conv()), x))
    net.returns(z, 2e-5)
    net.check(target, {"conv-winograd": 2})


def _group(net: Net, y: str) -> Group:
    graph = net.graph(y)
    return Group(graph, (graph.producers[y],))


@pytest.mark.parametrize("op", [_conv(2), _conv(1, 2), _conv(1, 1, 2)])
def test_refuses_other_convolutions(op: Conv) -> None:
    net = Net()
    group = _group(net, _layer(net, net.normal(1, 64, 14, 14), 64, 64, op))
    target = Cpu()
    refusal = target.by_name["conv-winograd"].refuse(group)
    assert refusal is not None and "stride 1" in refusal.demand
    shape = ConvWinograd(HOST, Machine()).shape(group)
    with pytest.raises(RefusedError, match="conv_winograd cannot compute"):
        kernel.emit("k", shape, HOST, kernel.Point(2, 1, 1, 1, 1, 1), identity("float32"))


def test_tiny_maps_are_left_to_the_direct_kernel() -> None:
    net = Net()
    y = _layer(net, net.normal(1, 32, 1, 1), 32, 32, _conv())
    net.returns(y)
    net.check(Cpu(), {"conv-winograd": 0})


def test_model_prefers_larger_tiles_where_they_waste_little() -> None:
    target = isa("avx512-vnni")
    assert kernel.default(_shape(64, 64, (56, 56), target), target).m == 4
    assert kernel.default(_shape(64, 64, (2, 2), target), target).m == 2
    for size in (7, 14, 28, 56):
        shape = _shape(256, 256, (size, size), target)
        assert cycles(shape, target, kernel.default(shape, target)) < shape.macs / 32
