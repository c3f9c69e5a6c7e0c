"""Attributes drawn at random, against onnxruntime."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import ModelProto

from codesign.errors import CodesignError
from tests.frontends import onnx_models as m

small = st.integers(1, 3)
AUTO = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def check(model: ModelProto, feeds: m.Feeds, rtol: float = 1e-4) -> None:
    """Agreement, unless onnxruntime itself refuses the drawn model."""
    try:
        m.expected(model, feeds)
    except Exception:  # noqa: BLE001  its errors have no common base
        assume(False)
    m.agree(model, feeds, rtol)


@st.composite
def windows(draw: st.DrawFn, rank: int) -> dict[str, object]:
    """Attributes of a window over `rank` axes."""
    per_axis = st.lists(small, min_size=rank, max_size=rank)
    auto = draw(st.sampled_from(AUTO))
    found: dict[str, object] = {"strides": draw(per_axis), "auto_pad": auto}
    if auto == "NOTSET":
        found["pads"] = draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank))
        found["dilations"] = draw(per_axis)
    return found


@given(rank=st.integers(1, 3), data=st.data(), groups=st.sampled_from([1, 2]))
def test_convolutions(rank: int, data: st.DataObject, groups: int) -> None:
    attributes = data.draw(windows(rank))
    kernel = data.draw(st.lists(small, min_size=rank, max_size=rank))
    sizes = data.draw(st.lists(st.integers(5, 8), min_size=rank, max_size=rank))
    weights = {"w": m.random(6, 4 // groups, *kernel), "b": m.random(6, seed=1)}
    node = m.node("Conv", "x w b", "y", group=groups, **attributes)
    model = m.model_of([node], [m.value("x", [2, 4, *sizes])], ["y"], weights)
    check(model, {"x": m.random(2, 4, *sizes)})


@given(rank=st.integers(1, 2), data=st.data(), extra=st.integers(0, 1))
def test_transposed_convolutions(rank: int, data: st.DataObject, extra: int) -> None:
    attributes = data.draw(windows(rank))
    kernel = data.draw(st.lists(small, min_size=rank, max_size=rank))
    sizes = data.draw(st.lists(st.integers(3, 5), min_size=rank, max_size=rank))
    strides = attributes["strides"]
    assert isinstance(strides, list)
    if attributes["auto_pad"] == "NOTSET":
        attributes["output_padding"] = [min(extra, stride - 1) for stride in strides]
    elif attributes["auto_pad"] != "VALID":
        assume(all(k >= stride for k, stride in zip(kernel, strides, strict=True)))
    node = m.node("ConvTranspose", "x w", "y", group=2, **attributes)
    weights = {"w": m.random(4, 3, *kernel)}
    model = m.model_of([node], [m.value("x", [1, 4, *sizes])], ["y"], weights)
    check(model, {"x": m.random(1, 4, *sizes)})


@given(
    kind=st.sampled_from(["AveragePool", "MaxPool", "LpPool"]),
    rank=st.integers(1, 3),
    data=st.data(),
    ceil=st.booleans(),
    count=st.booleans(),
)
def test_pools(kind: str, rank: int, data: st.DataObject, ceil: bool, count: bool) -> None:
    attributes = data.draw(windows(rank))
    kernel = data.draw(st.lists(st.integers(2, 3), min_size=rank, max_size=rank))
    sizes = data.draw(st.lists(st.integers(7, 9), min_size=rank, max_size=rank))
    pads = attributes.get("pads", [])
    assert isinstance(pads, list)
    assume(all(p < k for p, k in zip(pads, kernel * 2, strict=False)))  # no window of padding alone
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(count)
        attributes.pop("dilations", None)
    if attributes["auto_pad"] == "NOTSET":
        attributes["ceil_mode"] = int(ceil)
    node = m.node(kind, "x", "y", kernel_shape=kernel, **attributes)
    model = m.model_of([node], [m.value("x", [1, 2, *sizes])], ["y"], opset=19)
    check(model, {"x": m.random(1, 2, *sizes)})


@given(
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    coordinates=st.sampled_from(
        ["half_pixel", "asymmetric", "pytorch_half_pixel", "align_corners"]
    ),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_resizing(mode: str, coordinates: str, rounding: str, sizes: tuple[int, int]) -> None:
    node = m.node(
        "Resize",
        "x - - t",
        "y",
        mode=mode,
        coordinate_transformation_mode=coordinates,
        nearest_mode=rounding,
    )
    weights = {"t": np.array([1, 2, *sizes], np.int64)}
    model = m.model_of([node], [m.value("x", [1, 2, 4, 5])], ["y"], weights, opset=13)
    check(model, {"x": m.random(1, 2, 4, 5)})


@given(data=st.data())
def test_slices(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 3))
    axes = data.draw(st.permutations([0, -2, 2]))[:count]
    bounds = st.lists(st.integers(-7, 7), min_size=count, max_size=count)
    steps = st.lists(st.integers(-3, 3).filter(bool), min_size=count, max_size=count)
    drawn = {"s": data.draw(bounds), "e": data.draw(bounds), "a": axes, "t": data.draw(steps)}
    weights = {name: np.array(found, np.int64) for name, found in drawn.items()}
    node = m.node("Slice", "x s e a t", "y")
    model = m.model_of([node], [m.value("x", [4, 5, 6])], ["y"], weights)
    check(model, {"x": m.random(4, 5, 6)}, 0)


@given(
    alpha=st.sampled_from([1.0, 0.5]),
    beta=st.sampled_from([1.0, 2.0, 0.0]),
    turned=st.tuples(st.booleans(), st.booleans()),
    bias=st.sampled_from([None, (), (1,), (5,), (1, 5), (3, 1), (3, 5)]),
    fixed=st.booleans(),
)
def test_gemm(
    alpha: float,
    beta: float,
    turned: tuple[bool, bool],
    bias: tuple[int, ...] | None,
    fixed: bool,
) -> None:
    shapes = [(4, 3) if turned[0] else (3, 4), (5, 4) if turned[1] else (4, 5)]
    inputs, weights = [m.value("a", shapes[0])], {}
    feeds = {"a": m.random(*shapes[0])}
    if fixed:
        weights["b"] = m.random(*shapes[1], seed=1)
    else:
        inputs.append(m.value("b", shapes[1]))
        feeds["b"] = m.random(*shapes[1], seed=1)
    if bias is not None:
        weights["c"] = m.random(*bias, seed=2)
    names = "a b" if bias is None else "a b c"
    node = m.node(
        "Gemm", names, "y", alpha=alpha, beta=beta, transA=int(turned[0]), transB=int(turned[1])
    )
    check(m.model_of([node], inputs, ["y"], weights), feeds)


@given(
    kind=st.sampled_from(["LSTM", "GRU", "RNN"]),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    given_=st.tuples(st.booleans(), st.booleans()),
    reset=st.booleans(),
)
def test_recurrent_layers(
    kind: str, direction: str, given_: tuple[bool, bool], reset: bool
) -> None:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    both = 2 if direction == "bidirectional" else 1
    weights = {
        "w": m.random(both, gates * 3, 4),
        "r": m.random(both, gates * 3, 3, seed=1),
        "b": m.random(both, gates * 6, seed=2),
        "h": m.random(both, 2, 3, seed=3),
    }
    names = f"x w r {'b' if given_[0] else '-'} - {'h' if given_[1] else '-'}"
    attributes: dict[str, object] = {"hidden_size": 3, "direction": direction}
    if kind == "GRU":
        attributes["linear_before_reset"] = int(reset)
    outputs = "y z c" if kind == "LSTM" else "y z"
    node = m.node(kind, names, outputs, **attributes)
    model = m.model_of([node], [m.value("x", [5, 2, 4])], outputs.split(), weights)
    check(model, {"x": m.random(5, 2, 4)})


@given(
    kind=st.sampled_from(
        ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSumExp", "SumSquare"]
    ),
    axes=st.one_of(st.none(), st.lists(st.integers(-3, 2), max_size=3)),
    keep=st.booleans(),
    noop=st.booleans(),
)
def test_reductions(kind: str, axes: list[int] | None, keep: bool, noop: bool) -> None:
    assume(axes is None or len({axis % 3 for axis in axes}) == len(axes))
    assume(axes or not noop)  # onnxruntime returns x as it is, the standard reduces nothing
    weights = {} if axes is None else {"a": np.array(axes, np.int64)}
    node = m.node(
        f"Reduce{kind}",
        "x" if axes is None else "x a",
        "y",
        keepdims=int(keep),
        noop_with_empty_axes=int(noop),
    )
    check(m.model_of([node], [m.value("x", [2, 3, 4])], ["y"], weights), {"x": m.random(2, 3, 4)})


@given(st.text(max_size=12))
def test_names_of_any_kind_survive(name: str) -> None:
    assume(name and name.isprintable())
    model = m.model_of(
        [m.node("Relu", "x", "t"), m.node("Neg", "t", "y")], [m.value("x", [2])], ["y"]
    )
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = name
    try:
        found = m.run(model, {"x": np.array([-1, 2], np.float32)})
    except CodesignError:
        assert name in ("x", "y")
        return
    assert found["y"].tolist() == [0, -2]
