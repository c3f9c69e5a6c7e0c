"""Sparse layers on the CPU: any structure, shape and tile against the interpreter."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.interpret.evaluate import evaluate
from codesign.ir.encoding import Encoding
from codesign.ir.encodings import NM, Bitmap, Block, Csr
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import HardSwish, Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add
from codesign.ir.ops.matmul import Linear
from codesign.ir.program import Assignment, Program
from codesign.mapping.group import Group
from codesign.targets.tvm.kernel import to_point
from codesign.targets.tvm.kernels import sparse, sparse_panel
from codesign.targets.tvm.kernels.shapes import ConvShape
from codesign.targets.tvm.kernels.sparse_cut import cut
from codesign.targets.tvm.kernels.sparse_frame import Frame
from codesign.targets.tvm.kernels.sparse_plane import Plane
from codesign.targets.tvm.kernels.sparse_point import Point, space
from codesign.targets.tvm.target import Cpu
from tests.targets.tvm.harness import Net, compare, graph_of, run

FORMS = ["csr", "bitmap", "block", "nm"]


def _pruned(net: Net, shape: tuple[int, ...], form: str, density: float) -> str:
    """A random weight of which about `density` is left, stored as `form`."""
    array = net.random.standard_normal(shape).astype(np.float32)
    count = int(array.size * density)
    rows, columns = -(-shape[0] // 4), -(-int(np.prod(shape[1:])) // 2)
    forms: dict[str, Encoding] = {
        "csr": Csr(count),
        "bitmap": Bitmap(count),
        "block": Block((4, 2), int(rows * columns * density)),
        "nm": NM(1, 4),
    }
    encoding = forms[form]
    kept = np.where(encoding.keep(array), array, np.float32(0))  # type: ignore[attr-defined]
    return net.constant(kept, "w", (encoding,))


def _placed(graph: Graph, target: Cpu, point: Point | None = None) -> Program:
    """`graph` with every layer on the sparse kernel, whatever it costs, nothing fused."""
    kernel, placement = target.by_name["sparse"], []
    for node in graph.nodes:
        group = Group(graph, (node,))
        assert kernel.refuse(group) is None, kernel.refuse(group)
        chosen = kernel.default(group) if point is None else to_point(point)
        placement.append(Assignment("sparse", (node.name,), chosen))
    return Program(graph, target.spec, tuple(placement))


def _check(net: Net, target: Cpu, point: Point | None = None) -> None:
    program = _placed(graph_of(net), target, point)
    got, want = run(program, target, net.data), evaluate(program.graph, net.data)
    for name, tolerance in net.results_of.items():
        compare(name, got[name], want[name], tolerance)


@st.composite
def _axes(draw: st.DrawFn) -> tuple[Any, ...]:
    found = []
    for _ in range(draw(st.integers(1, 2))):
        kernel, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        reach = (kernel - 1) * dilation
        pads = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        size = draw(st.integers(max(1, reach + 1 - sum(pads)), 21))
        found.append((size, kernel, draw(st.integers(1, 3)), dilation, pads))
    return tuple(zip(*found, strict=True))


def _point(draw: Any, frame: Frame, target: Cpu) -> Point:
    """Any schedule, its panels cut anywhere."""
    points = space(frame, target.instructions)
    panels = [p for p in points if p.panel]
    point: Point = draw(st.sampled_from(panels if panels and draw(st.booleans()) else points))
    if point.panel and draw(st.booleans()):
        point = replace(point, panel=draw(st.integers(1, point.panel)))
    return point


@settings(deadline=None, max_examples=24)
@given(data=st.data())
def test_any_convolution(data: st.DataObject) -> None:
    net, draw = Net(data.draw(st.integers(0, 99))), data.draw
    size, kernel, strides, dilations, pads = draw(_axes())
    groups = draw(st.sampled_from([1, 1, 1, 2]))
    ic, oc = groups * draw(st.integers(1, 20)), groups * draw(st.integers(1, 20))
    n, form = draw(st.integers(1, 2)), draw(st.sampled_from(FORMS))
    w = _pruned(net, (oc, ic // groups, *kernel), form, draw(st.sampled_from([0, 0.1, 0.5, 1])))
    op = Conv(strides, pads, dilations, groups)
    net.returns(net.op(op, net.normal(n, ic, *size), w, net.weight(oc)))
    target = Cpu(draw(st.sampled_from(["host", "avx2", "x86"])), threads=draw(st.integers(1, 2)))
    shape = ConvShape(n, ic, oc, size, kernel, strides, pads, dilations, groups, 1)
    _check(net, target, _point(draw, Frame(shape), target))


@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_any_product(data: st.DataObject) -> None:
    net = Net(data.draw(st.integers(0, 99)))
    lines = data.draw(st.sampled_from([(1,), (2,), (8,), (3, 5), (130,), (1, 33)]))
    depth, columns = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 40))
    w = _pruned(net, (columns, depth), data.draw(st.sampled_from(FORMS)), 0.3)
    net.returns(net.op(Linear(), net.normal(*lines, depth), w, net.weight(columns)))
    _check(net, Cpu(data.draw(st.sampled_from(["host", "x86"]))))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_follows_is_fused_where_sparsity_pays(threads: int) -> None:
    net = Net()
    x = net.normal(1, 64, 28, 28)
    y = net.op(Conv((1, 1), ((0, 0),) * 2), x, _pruned(net, (96, 64, 1, 1), "csr", 0.05))
    z = net.op(Conv((2, 2), ((1, 1),) * 2), net.op(HardSwish(), y),
               _pruned(net, (64, 96, 3, 3), "csr", 0.05), net.weight(64))  # fmt: skip
    skip = net.normal(1, 64, 14, 14, name="skip")
    net.returns(net.op(Relu(), net.op(Add(), z, skip)))
    program = net.check(Cpu(threads=threads), {"sparse": 2})
    assert [len(a.nodes) for a in program.placement if a.kernel == "sparse"] == [2, 3]


@pytest.mark.parametrize("form", FORMS)
def test_the_work_is_what_is_done_and_no_more_than_the_peak(form: str) -> None:
    net, target = Net(0), Cpu("avx2")
    weight = _pruned(net, (64, 64, 3, 3), form, 0.1)
    y = net.op(Conv(pads=((1, 1), (1, 1))), net.normal(1, 64, 28, 28), weight)
    net.returns(y)
    graph = graph_of(net)
    (cost,) = target.estimate(_placed(graph, target)).layers
    left = int(np.count_nonzero(graph.constants[weight].array))
    assert cost.macs == left * 28 * 28 < 0.3 * 64 * 64 * 9 * 28 * 28
    assert 0 < cost.utilization <= 1


def test_dense_kernels_are_kept_where_they_are_faster() -> None:
    net = Net()
    x = net.normal(1, 64, 28, 28)
    w = _pruned(net, (64, 64, 1, 1), "csr", 0.9)
    net.returns(net.op(Conv((1, 1), ((0, 0),) * 2), x, w))
    net.check(kernels={"conv-pointwise": 1, "sparse": 0})


def test_lists_of_one_length_need_no_starts() -> None:
    shape = ConvShape(1, 32, 8, (6, 6), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1), 1, 1)
    weight = np.random.default_rng(0).standard_normal((8, 32, 1, 1)).astype(np.float32)
    kept = np.where(NM(2, 4).keep(weight), weight, np.float32(0))
    packed = sparse.pack(kept, shape, Point(1, 3, 2))
    assert packed.starts is None and packed.columns.size == 8 * 16
    kept[0] = weight[0]
    assert sparse.pack(kept, shape, Point(1, 3, 2)).starts is not None


def test_panels_hold_every_nonzero_once() -> None:
    net = np.random.default_rng(0)
    w = net.standard_normal((6, 5, 3, 3)).astype(np.float32)
    w[net.random(w.shape) < 0.7] = 0
    w[2] = 0
    shape = ConvShape(1, 5, 6, (9, 9), (3, 3), (1, 1), ((1, 1),) * 2, (1, 1), 1, 1)
    isa, point = Cpu("avx2").instructions, Point(1, 3, 2, 20, 2)
    panels, found = sparse_panel.pack(w, shape, isa, point), cut(shape, isa, 3, 2)
    assert found is not None and panels.blocks == 3
    dense, sizes = np.zeros((6, 45), np.float32), np.diff(panels.starts)
    assert not np.any(sizes % 2)
    places = np.repeat(np.arange(18), sizes)
    columns = places // 6 * 20 + panels.columns[: places.size] // found.pitch
    np.add.at(dense, (places % 6, columns), panels.values[: places.size, 0])
    np.testing.assert_array_equal(dense, w.reshape(6, 45))


def test_lines_that_are_added_are_fetched_too() -> None:
    net = Net()
    x = net.normal(2, 32, 14, 14)
    w = _pruned(net, (40, 32, 3, 3), "csr", 0.05)
    y = net.op(Conv((1, 1), ((1, 1),) * 2), x, w, net.weight(40))
    net.returns(net.op(Relu(), net.op(Add(), y, net.normal(2, 40, 14, 14, name="skip"))))
    graph, target = graph_of(net), Cpu()
    names = tuple(node.name for node in graph.nodes)
    for point in (Point(1, 4, 1, 100, 2), Point(4, 2, 1, 288, 4), Point(1, 4, 2)):
        placed = (Assignment("sparse", names, to_point(point)),)
        got = run(Program(graph, target.spec, placed), target, net.data)
        want = evaluate(graph, net.data)
        for name, tolerance in net.results_of.items():
            compare(name, got[name], want[name], tolerance)


@settings(deadline=None, max_examples=40)
@given(axes=_axes(), seed=st.integers(0, 99))
def test_columns_are_shifts_of_the_flat_image(axes: tuple[Any, ...], seed: int) -> None:
    size, kernel, strides, dilations, pads = axes
    shape = ConvShape(1, 2, 1, size, kernel, strides, pads, dilations, 1, 1)
    plane = Plane(shape)
    rows, columns = plane.axes
    reach = (rows.out - 1) * plane.pitch + columns.out
    assert plane.offsets().max() + reach <= 2 * plane.channel
    assert plane.offsets().min() >= 0


def test_others_are_refused_by_name() -> None:
    net, kernel = Net(), Cpu().by_name["sparse"]
    dense = net.op(Linear(), net.normal(16, 8), net.weight(4, 8))
    deep = net.op(Conv((1,) * 3, ((0, 0),) * 3, (1,) * 3), net.normal(1, 4, 2, 2, 2),
                  _pruned(net, (4, 4, 1, 1, 1), "csr", 0.2))  # fmt: skip
    graph = net.graph(dense, deep)
    found = [str(kernel.refuse(Group(graph, (graph.producers[v],)))) for v in (dense, deep)]
    for text, part in zip(found, ["csr, bitmap", "one or two axes"], strict=True):
        assert part in text
