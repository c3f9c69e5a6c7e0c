import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.analysis.ranges import Method, clipping, observe
from codesign.errors import DataError, UnknownNameError, UsageError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Clip, HardSwish, Relu, Sigmoid
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.elementwise import Add, Mul
from codesign.ir.ops.join import Concat, Pad
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.resize import Resize
from codesign.ir.ops.shape import Flatten
from codesign.passes.quantize.pays import components, predicted_ms
from codesign.passes.quantize.regions import Regions
from codesign.passes.quantize.scales import activation, weight
from codesign.rewrite.context import Context, Dataset
from codesign.targets.tvm.target import Cpu
from tests.passes.harness import apply, calibrated, kinds, snr_db
from tests.strategies import inputs_of

PADS = ((1, 1), (1, 1))
VNNI = Cpu("avx512-vnni")


class Net(Builder):
    """A builder with random layers."""

    def __init__(self) -> None:
        super().__init__("net")
        self.random = np.random.default_rng(0)
        self.x = self.input("x", (1, 4, 8, 8))

    def conv(self, x: str, oc: int, name: str, scale: np.ndarray | float = 1.0) -> str:
        ic = self.types[x].shape[1]
        w = self.random.standard_normal((oc, ic, 3, 3)) * (ic * 9) ** -0.5
        w = w * np.reshape(scale, (-1, 1, 1, 1))
        bias = self.random.standard_normal(oc) * 0.2
        names = [self.constant(a.astype(np.float32), n) for a, n in ((w, "w"), (bias, "b"))]
        return self.op(Conv(pads=PADS), x, *names, name=name)

    def classifier(self, x: str) -> str:
        flat = self.op(Flatten(1), self.op(ReduceMean((2, 3), True), x))
        shape = (5, self.types[flat].shape[1])
        w = self.constant(self.random.standard_normal(shape).astype(np.float32), "fc.w")
        return self.op(Linear(), flat, w, name="fc")


def residual() -> Graph:
    """conv, relu, conv, add, relu, pool, mean, linear."""
    b = Net()
    y = b.op(Relu(), b.conv(b.x, 8, "c1"), name="r1")
    z = b.op(Relu(), b.op(Add(), b.conv(y, 8, "c2"), y, name="sum"), name="r2")
    z = b.op(MaxPool((2, 2), (2, 2), ((0, 0),) * 2), z, name="pool")
    return b.graph(b.classifier(z), output_names=["out"])


def quality(before: Graph, after: Graph, seed: int = 0) -> float:
    """Signal to noise of the first output on inputs that were not seen."""
    data = inputs_of(before, seed)
    name = before.output_names[0]
    return snr_db(evaluate(before, data)[name], evaluate(after, data)[name])


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
@pytest.mark.parametrize("per_channel", ["true", "false"])
def test_every_method_keeps_the_signal(method: str, per_channel: str) -> None:
    before = residual()
    spec = f"quantize-int8{{method={method},per_channel={per_channel}}}"
    after = apply(before, spec, calibrated(before, 32))
    assert quality(before, after) > 25
    weights = [after.types[n.operands[1]].integer for n in after.nodes if n.kind == "conv"]
    assert all(w is not None and w.axis == (0 if per_channel == "true" else None) for w in weights)


def test_codes_between_layers_and_floats_around() -> None:
    before = residual()
    after = apply(before, "quantize-int8", calibrated(before))
    assert kinds(after) == ["encode", *kinds(before)]
    assert after.types["x"] == before.types["x"]
    assert after.types[after.outputs[0]].encodings == ()
    coded = {v for v in ("r1", "sum", "r2", "pool") if after.types[v].integer is not None}
    assert coded == {"r1", "sum", "r2", "pool"}
    wide = after.types["c2"].integer
    assert wide is not None and wide.width == 32
    assert after.types["r2"] == after.types["sum"]
    assert after.types["pool"].integer == after.types["r2"].integer


def test_joined_values_share_a_scale() -> None:
    b = Net()
    parts = [b.op(Relu(), b.conv(b.x, 4, f"c{i}", 2.0**i), name=f"r{i}") for i in range(2)]
    y = b.op(Concat(1), *parts, name="joined")
    before = b.graph(b.conv(y, 4, "last"), output_names=["out"])
    after = apply(before, "quantize-int8", calibrated(before))
    forms = {after.types[v].integer for v in ("r0", "r1", "joined")}
    assert len(forms) == 1 and None not in forms


@pytest.mark.parametrize("per_channel", ["true", "false"])
@pytest.mark.parametrize("dead", [0.0, 1e-6, 1e-30])
def test_dead_channels_are_harmless(dead: float, per_channel: str) -> None:
    b = Net()
    scale = np.array([1.0, dead, 1.0, dead])
    y = b.op(Relu(), b.conv(b.x, 4, "c1", scale))
    before = b.graph(b.classifier(b.op(Relu(), b.conv(y, 4, "c2", scale))), output_names=["out"])
    after = apply(before, f"quantize-int8{{per_channel={per_channel}}}", calibrated(before, 16))
    data = inputs_of(before, 3)
    exact, fake = evaluate(before, data)["out"], evaluate(after, data)["out"]
    integer = evaluate_integer(after, data)["out"]
    assert np.isfinite(integer).all()
    assert snr_db(exact, fake) > 20 and snr_db(fake, integer) > 30


def test_activations_that_are_always_zero() -> None:
    b = Net()
    w = b.constant(np.zeros((4, 4, 3, 3), np.float32), "w")
    bias = b.constant(np.full(4, -5, np.float32), "b")
    silent = b.op(Relu(), b.op(Conv(pads=PADS), b.x, w, bias, name="silent"), name="zeros")
    y = b.op(Add(), b.conv(silent, 4, "c2"), b.conv(b.x, 4, "c3"))
    before = b.graph(b.conv(b.op(Relu(), y), 4, "c4"), output_names=["out"])
    after = apply(before, "quantize-int8", calibrated(before, 16))
    data = inputs_of(before, 3)
    want, got = evaluate(before, data)["out"], evaluate_integer(after, data)["out"]
    assert snr_db(want, got) > 25


def test_integers_and_fake_quantization_agree() -> None:
    before = residual()
    after = apply(before, "quantize-int8", calibrated(before, 32))
    for seed in range(5):
        data = inputs_of(before, seed)
        assert snr_db(evaluate(after, data)["out"], evaluate_integer(after, data)["out"]) > 35


def test_ops_without_codes_are_decoded_into_and_encoded_from() -> None:
    b = Net()
    y = b.op(HardSwish(), b.conv(b.x, 4, "c1"))
    y = b.op(Mul(), y, b.op(Sigmoid(), b.conv(y, 4, "gate")))
    before = b.graph(b.conv(y, 4, "c2"), y, output_names=["out", "middle"])
    after = apply(before, "quantize-int8", calibrated(before, 32))
    assert all(after.types[v].encodings == () for v in after.outputs)
    assert quality(before, after) > 25


def test_moves_carry_codes_and_what_has_no_kernel_stays_in_float() -> None:
    b = Net()
    y = b.op(Resize((1, 4, 16, 16)), b.conv(b.x, 4, "c1"), name="up")
    y = b.op(Pad(((0, 0), (0, 0), (0, 1), (1, 0))), y, name="pad")
    w = b.constant(b.random.standard_normal((4, 2, 3, 3)).astype(np.float32), "w")
    grouped = b.op(Conv(groups=2), b.conv(y, 4, "c2"), w, name="grouped")
    before = b.graph(b.conv(grouped, 4, "c3"), output_names=["out"])
    context = calibrated(before, 16)
    after = apply(before, "quantize-int8", context)
    assert len({after.types[v].integer for v in ("c1", "up", "pad")} - {None}) == 1
    assert kinds(after)[:5] == ["encode", "conv", "resize", "pad", "conv"]
    assert after.types[after.by_name["grouped"].operands[1]].encodings == ()
    assert [n.layer for n in context.notes if not n.done] == ["grouped"]
    assert quality(before, after) > 25


def test_skipped_layers_stay_in_float() -> None:
    before, context = residual(), calibrated(residual())
    after = apply(before, "quantize-int8{skip=c*}", context)
    floats = [after.types[n.operands[1]].element is None for n in after.nodes if n.kind == "conv"]
    assert floats == [True, True]
    assert after.types[after.by_name["fc"].operands[1]].element is not None
    assert context.notes == []


def test_a_pattern_that_names_no_layer_is_refused() -> None:
    for pattern in ("f", "r1"):
        with pytest.raises(UnknownNameError, match="skip of quantize-int8"):
            apply(residual(), f"quantize-int8{{skip=[c1, {pattern}]}}", calibrated(residual()))
    with pytest.raises(UnknownNameError, match="did you mean fc"):
        apply(residual(), "quantize-int8{skip=fc1}", calibrated(residual()))


def wide(b: Builder, x: str, name: str) -> str:
    """Two convolutions of 64 channels on 32x32 pixels."""
    for i in range(2):
        w = np.random.default_rng(i).standard_normal((64, 64, 3, 3)).astype(np.float32) / 24
        x = b.op(Conv(pads=PADS), x, b.constant(w, "w"), name=f"{name}.{i}")
        x = b.op(Relu(), x, name=f"{name}.relu{i}")
    return x


def narrow(b: Builder, x: str, name: str) -> str:
    """A convolution of one channel: hardly any work next to what encoding its input takes."""
    w = b.constant(np.full((1, 1, 1, 1), 0.5, np.float32), "w")
    return b.op(Conv(), x, w, name=name)


def test_what_would_be_slower_on_the_target_stays_in_float() -> None:
    b = Builder()
    before = b.graph(narrow(b, b.input("x", (1, 1, 32, 32)), "thin"), output_names=["out"])
    context = calibrated(before, target=VNNI)
    assert apply(before, "quantize-int8", context) == before
    ((layer, text, done),) = [(n.layer, n.text, n.done) for n in context.notes]
    assert (layer, done) == ("thin", False) and "ms would be" in text
    forced = apply(before, "quantize-int8{slower=true}", context)
    assert kinds(forced) == ["encode", "conv"] and context.notes == []


def test_only_the_regions_that_pay_are_in_codes() -> None:
    b = Builder()
    y = wide(b, b.input("x", (1, 64, 32, 32)), "wide")
    z = narrow(b, b.input("t", (1, 1, 32, 32)), "thin")
    before = b.graph(y, z, output_names=["y", "z"])
    context = calibrated(before, target=VNNI)
    after = apply(before, "quantize-int8", context)
    coded = {n.name for n in after.walk("conv") if after.types[n.operands[1]].integer is not None}
    assert coded == {"wide.0", "wide.1"}
    assert [n.layer for n in context.notes] == ["thin"]
    assert predicted_ms(VNNI, after) < predicted_ms(VNNI, before)  # type: ignore[operator]
    everything = apply(before, "quantize-int8{slower=true}", context)
    assert predicted_ms(VNNI, after) < predicted_ms(VNNI, everything)  # type: ignore[operator]


def test_regions_are_what_hands_codes_to_each_other() -> None:
    b = Net()
    y = b.op(Sigmoid(), b.op(Sigmoid(), b.conv(b.x, 4, "c1")))
    z = b.op(Relu(), b.conv(y, 4, "c2"))
    before = b.graph(b.conv(z, 4, "c3"), b.conv(b.x, 4, "c4"))
    parts = components(Regions(before, frozenset({"c1", "c2", "c3", "c4"})))
    assert sorted(map(sorted, parts)) == [["c1", "c4"], ["c2", "c3"]]


def test_pruned_weights_stay_sparse() -> None:
    before = residual()
    pruned = apply(before, "prune-magnitude{sparsity=0.7}")
    after = apply(pruned, "quantize-int8", calibrated(before))
    for node in after.nodes:
        if node.kind == "conv":
            kind, array = after.types[node.operands[1]], after.constants[node.operands[1]].array
            if kind.structure is not None:
                assert kind.integer is not None and (array == 0).mean() >= 0.69


def test_nothing_to_do_is_nothing_done() -> None:
    b = Builder()
    before = b.graph(b.op(Relu(), b.input("x", (4,))))
    assert apply(before, "quantize-int8") is before


def test_a_second_run_changes_nothing() -> None:
    before = residual()
    after = apply(before, "quantize-int8", calibrated(before))
    assert apply(after, "quantize-int8", calibrated(before)) == after


def test_refusals() -> None:
    before = residual()
    with pytest.raises(UsageError, match="--calibration"):
        apply(before, "quantize-int8")
    for name, shape in (("y", (4, 4, 8, 8)), ("x", (4, 3, 8, 8))):
        data = Dataset({name: np.zeros(shape, np.float32)})
        with pytest.raises(DataError, match="the model takes"):
            apply(before, "quantize-int8", Context(calibration=data))
    flat = Dataset({"x": np.zeros((4, 8), np.float32)})
    with pytest.raises(DataError, match=r"expected \[samples, 4, 8, 8\]$"):
        apply(before, "quantize-int8", Context(calibration=flat))
    for value in (np.nan, np.inf):
        data = Dataset({"x": np.full((2, 4, 8, 8), value, np.float32)})
        with pytest.raises(DataError, match="not finite"):
            apply(before, "quantize-int8", Context(calibration=data))


@pytest.mark.parametrize("options", ["percentile=50", "percentile=101", "samples=0", "method=kl"])
def test_options(options: str) -> None:
    with pytest.raises(UsageError, match="quantize-int8"):
        apply(residual(), f"quantize-int8{{{options}}}")


def test_fewer_samples_are_looked_at() -> None:
    before = residual()
    data = inputs_of(before, 0, 8)
    data["x"][4:] *= 100
    scales = []
    for count in (4, 8):
        spec = f"quantize-int8{{method=minmax,samples={count}}}"
        after = apply(before, spec, Context(calibration=Dataset(data)))
        scales.append(after.types["x.codes"].integer)
    assert scales[0] is not None and scales[1] is not None
    assert scales[1].scale.array > 20 * scales[0].scale.array


METHODS: list[Method] = ["minmax", "percentile", "mse", "entropy"]


@settings(max_examples=30)
@given(st.integers(0, 99), st.sampled_from(METHODS), st.floats(-3, 3), st.floats(0.01, 100))
def test_ranges_lie_inside_and_mse_is_the_least(
    seed: int, method: Method, shift: float, spread: float
) -> None:
    values = np.random.default_rng(seed).standard_normal(500) * spread + shift * spread
    histogram = observe(lambda: iter([{"v": values.astype(np.float32)}]), ["v"])["v"]
    low, high = clipping(histogram, method, 99.0, 256)
    wide = min(values.min(), 0.0), max(values.max(), 0.0)
    slack = 1e-3 * (wide[1] - wide[0])
    assert wide[0] - slack <= low < high <= wide[1] + slack

    def error(span: tuple[float, float]) -> float:
        form = activation(*span, 8)
        codes = form.encode(values.astype(np.float32))
        return float(((form.decode(codes, values.shape) - values) ** 2).sum())

    if method == "mse":
        assert error((low, high)) <= 1.1 * error(clipping(histogram, "minmax", 99.0, 256))


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.sampled_from([2, 4, 8]))
def test_zero_is_exact_and_the_range_is_covered(a: float, b: float, width: int) -> None:
    form = activation(min(a, b), max(a, b), width)
    ends = np.array([0.0, min(a, b), max(a, b)], np.float32)
    back = form.decode(form.encode(ends), ends.shape)
    assert back[0] == 0 and not form.signed
    assert np.abs(back - ends).max() <= float(form.scale.array) * 0.51


def test_biases_fit_their_accumulators() -> None:
    array = np.array([[1e-9], [1.0], [0.0]], np.float32)
    form = weight(
        array,
        8,
        True,
        np.array([1e6, 1.0, 3.0], np.float32),
        Int(8, Const(1e-3, "float32"), signed=False),
    )
    scale = form.scale.array.astype(np.float64) * 1e-3
    assert (np.array([1e6, 1.0, 3.0]) / scale < 2**31).all() and (scale > 0).all()
    assert isinstance(form, Int) and form.axis == 0


def test_a_clip_after_a_layer_is_a_clamp_of_its_codes() -> None:
    b = Net()
    y = b.op(Clip(0.0, 6.0), b.conv(b.x, 4, "c1", 10.0), name="clip")
    before = b.graph(b.conv(y, 4, "c2"), output_names=["out"])
    after = apply(before, "quantize-int8", calibrated(before, 16))
    form = after.types["clip"].integer
    assert form is not None and after.types["c1"].integer == form
    assert float(form.scale.array) * 255 <= 6.01 and form.symmetric
