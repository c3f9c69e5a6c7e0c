"""Graphs in training: what is updated, what stays, and what is written back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from codesign.errors import TrainingError, UnsupportedModelError
from codesign.interpret.evaluate import evaluate
from codesign.interpret.integer import evaluate_integer
from codesign.interpret.rounded import Rounded
from codesign.interpret.trainee import Learning, Trainee
from codesign.ir import encoding as enc
from codesign.ir.builder import Builder
from codesign.ir.const import Const
from codesign.ir.encodings import NM, Binary, Bitmap, Codebook, Int, Ternary
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.encode import Codes, Encode
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.verify import verify_graph
from tests.ir.running import f32, normal
from tests.passes.harness import apply, calibrated

BITS = Int(1, Const(0.6, "float32"), signed=False)


def network(encodings: enc.Encodings = (), bits: Int | None = None) -> Graph:
    """conv, batch norm, relu, conv of a weight in `encodings` on codes `bits`, mean."""
    b = Builder()
    w = b.constant(0.4 * normal(4, 2, 3, 3), "first.weight")
    y = b.op(Conv(), b.input("x", (8, 2, 6, 6)), w, name="first")
    names = ("bn.scale", "bn.bias", "bn.mean", "bn.var")
    values = (np.full(4, 1.5), np.full(4, 0.2), np.full(4, 0.1), np.full(4, 2.0))
    norm = [b.constant(f32(v), n) for n, v in zip(names, values, strict=True)]
    y = b.op(Relu(), b.op(BatchNorm(), y, *norm, name="bn"), name="relu")
    if bits is not None:
        y = b.op(Encode(), y, name="relu.bits")
        b.types[y] = b.types[y].with_encoding(bits)
    stored = enc.project(encodings, 0.5 * normal(3, 4, 3, 3, seed=5))
    y = b.op(Conv(), y, b.constant(stored, "weight", encodings), name="second")
    return b.graph(b.op(ReduceMean((2, 3), False), y, name="out"))


def data(seed: int = 3) -> torch.Tensor:
    return torch.from_numpy(normal(8, 2, 6, 6, seed=seed))


def descend(module: Trainee, steps: int = 10, rate: float = 0.02) -> list[float]:
    """Losses on the way to random goals."""
    goal = torch.from_numpy(normal(8, 3, seed=9))
    optimizer = torch.optim.Adam(module.parameters(), rate)
    losses = []
    for _ in range(steps):
        loss = (module(data())[0] - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


FORMS: dict[str, enc.Encodings] = {
    "float": (),
    "binary": (Binary(Const([0.5, 0.4, 0.3], "float32"), 0),),
    "signs": (Binary(),),
    "ternary": (Ternary(Const([0.5, 0.4, 0.3], "float32"), Const(0.2, "float32"), 0),),
    "ternary of 1": (Ternary(),),
    "int2": (Int(2, Const([0.5, 0.4, 0.3], "float32"), Const([0] * 3, "int32"), axis=0),),
    "sparse": (NM(2, 4),),
    "sparse int8": (NM(2, 4), Int(8, Const(0.01, "float32"))),
    "bitmap": (Bitmap(60),),
    "codebook": (Codebook(Const([-0.5, -0.1, 0.0, 0.3], "float32")),),
}


@pytest.mark.parametrize("name", FORMS)
def test_training_lowers_the_loss_and_is_written_back(name: str) -> None:
    graph = network(FORMS[name], BITS)
    module = Trainee(graph, Learning())
    losses = descend(module, 20)
    assert losses[-1] < losses[0]
    after = module.eval().trained()
    verify_graph(after)
    stored, kind = after.constants["weight"].array, after.types["weight"]
    assert [e.kind for e in kind.encodings] == [e.kind for e in FORMS[name]]
    np.testing.assert_array_equal(enc.project(kind.encodings, stored), stored)
    assert not np.array_equal(after.constants["first.weight"].array, 0.4 * normal(4, 2, 3, 3))
    with torch.no_grad():
        (found,) = module(data())
    want = evaluate(after, {"x": data().numpy()})["out"]
    np.testing.assert_allclose(found.numpy(), want, atol=1e-5)


def test_before_any_step_the_graph_is_what_it_was() -> None:
    graph = network(FORMS["int2"], BITS)
    assert Trainee(graph, Learning()).trained() == graph


def test_gradients_are_those_of_finite_differences_where_all_is_smooth() -> None:
    module = Trainee(network(), Learning()).train()
    goal = torch.from_numpy(normal(8, 3, seed=9))

    def loss() -> torch.Tensor:
        found: torch.Tensor = (module(data())[0] - goal).square().mean()
        return found

    loss().backward()  # type: ignore[no-untyped-call]
    for _, parameter in module.named_parameters():
        assert parameter.grad is not None
        index = np.unravel_index(int(parameter.grad.abs().argmax()), parameter.shape)
        moved = []
        with torch.no_grad():
            for step in (1e-2, -2e-2):
                parameter[index] += step
                moved.append(float(loss()))
            parameter[index] += 1e-2
        found = float(parameter.grad[index])
        assert found == pytest.approx((moved[0] - moved[1]) / 2e-2, rel=0.05, abs=1e-4)


def test_batch_norms_take_the_statistics_of_the_batch_and_mix_them() -> None:
    graph = network()
    module = Trainee(graph, Learning(momentum=0.25)).train()
    module(data())
    after = module.trained().constants
    before = evaluate(replace(graph, outputs=("first",)), {"x": data().numpy()})["out"]
    mean, var = before.mean((0, 2, 3)), before.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(after["bn.mean"].array, 0.75 * 0.1 + 0.25 * mean, rtol=1e-4)
    np.testing.assert_allclose(after["bn.var"].array, 0.75 * 2 + 0.25 * var, rtol=1e-4)
    torch_bn = torch.nn.BatchNorm2d(4, momentum=0.25)
    torch_bn(torch.from_numpy(before))
    assert torch_bn.running_var is not None
    np.testing.assert_allclose(
        after["bn.var"].array - 0.75, torch_bn.running_var.numpy(), rtol=1e-4
    )


def test_statistics_may_stay() -> None:
    module = Trainee(network(), Learning(momentum=0.0)).train()
    descend(module, 3)
    after = module.trained().constants
    assert after["bn.mean"] == network().constants["bn.mean"]
    assert after["bn.scale"] != network().constants["bn.scale"]


def test_steps_are_learned_and_written_back_or_stay() -> None:
    graph = network(FORMS["int2"], BITS)
    module = Trainee(graph, Learning())
    descend(module)
    after = module.trained()
    for value in ("relu.bits", "weight"):
        old, new = graph.types[value].integer, after.types[value].integer
        assert old is not None and new is not None and (new.scale.array > 0).all()
        assert not np.array_equal(old.scale.array, new.scale.array)
        assert replace(new, scale=old.scale) == old
    (rounded,) = (m for m in module.modules() if isinstance(m, Rounded))
    bits = after.types["relu.bits"].integer
    assert bits is not None
    want = np.float32(0.6) * np.exp(rounded.scale.growth.detach().numpy())
    np.testing.assert_allclose(bits.scale.array, want, rtol=1e-6)
    fixed = Trainee(graph, Learning(steps=False))
    descend(fixed)
    assert fixed.trained().types == graph.types


def test_scales_of_signs_follow_the_weights_unless_they_are_one() -> None:
    latent = 0.5 * normal(3, 4, 3, 3, seed=5)
    module = Trainee(network(FORMS["binary"]), Learning(), {"weight": latent})
    form = module.trained().types["weight"].element
    assert isinstance(form, Binary)
    np.testing.assert_allclose(form.scale.array, np.abs(latent).mean((1, 2, 3)), rtol=1e-5)
    three = Trainee(network(FORMS["ternary"]), Learning(), {"weight": latent})
    found = three.trained().types["weight"].element
    assert isinstance(found, Ternary)
    size = np.abs(latent).reshape(3, -1)
    low = 0.7 * size.mean(1)
    scale = [row[row > t].mean() for row, t in zip(size, low, strict=True)]
    np.testing.assert_allclose(found.threshold.array, low, rtol=1e-5)
    np.testing.assert_allclose(found.scale.array, scale, rtol=1e-5)
    for name in ("signs", "ternary of 1"):
        one = Trainee(network(FORMS[name]), Learning(), {"weight": latent})
        descend(one, 3)
        assert one.trained().types["weight"].encodings == FORMS[name]


def test_channels_of_zeros_keep_a_positive_scale() -> None:
    for name in ("binary", "ternary"):
        zeros = np.zeros((3, 4, 3, 3), np.float32)
        module = Trainee(network(FORMS[name]), Learning(), {"weight": zeros})
        verify_graph(module.trained())


@pytest.mark.parametrize("name", ["sparse", "sparse int8", "bitmap"])
def test_what_a_structure_leaves_out_stays_zero(name: str) -> None:
    graph = network(FORMS[name])
    module = Trainee(graph, Learning())
    descend(module, 20, 0.1)
    old, new = (g.constants["weight"].array for g in (graph, module.trained()))
    assert not new[old == 0].any()
    assert not np.array_equal(old, new)


def test_sums_keep_the_scales_of_their_factors() -> None:
    """After 8-bit quantization biases and accumulators stay codes of the products' scales."""
    b = Builder()
    x = b.input("x", (1, 3, 8, 8))
    for i, channels in enumerate((3, 4)):
        w = b.constant(normal(4, channels, 3, 3, seed=i), f"w{i}")
        x = b.op(Conv(), x, w, b.constant(normal(4, seed=9), f"b{i}"), name=f"conv{i}")
        x = b.op(Relu(), x, name=f"relu{i}")
    graph = b.graph(x)
    coded = apply(graph, "quantize-int8", calibrated(graph))
    module = Trainee(coded, Learning())
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    given = torch.from_numpy(normal(8, 3, 8, 8, seed=2))
    for _ in range(3):
        optimizer.zero_grad()
        module(given)[0].square().mean().backward()
        optimizer.step()
    after = module.eval().trained()
    verify_graph(after)
    layers = [node for node in after.nodes if node.kind == "conv"]
    assert len(layers) == 2
    for node in layers:
        ex, ew, eb = (after.types[v].integer for v in node.operands)
        assert ex is not None and ew is not None and eb is not None
        np.testing.assert_array_equal(eb.scale.array, ex.scale.array * ew.scale.array)
        assert ex != coded.types[node.operands[0]].integer
    one = {"x": given[:1].numpy()}
    step = after.types[after.outputs[0]].integer
    exact, meant = evaluate_integer(after, one), evaluate(after, one)
    for name in meant:
        bound = 1.01 * float(step.scale.array) if step else 1e-4
        np.testing.assert_allclose(exact[name], meant[name], atol=bound)


def test_values_of_one_encoding_share_its_scale() -> None:
    graph = network((), BITS)
    kind = graph.types["relu"].with_encoding(BITS)
    module = Trainee(graph.with_types({"relu": kind}), Learning())
    assert sum(isinstance(m, Rounded) for m in module.modules()) == 1
    descend(module)
    after = module.trained().types
    assert after["relu"].integer == after["relu.bits"].integer != BITS


def test_codes_and_what_diverged_are_refused() -> None:
    b = Builder()
    x = b.op(Encode(), b.input("x", (4,)), name="e")
    b.types[x] = b.types[x].with_encoding(BITS)
    with pytest.raises(UnsupportedModelError, match="codes %c has no gradient"):
        Trainee(b.graph(b.op(Codes(), x, name="c")), Learning())
    module = Trainee(network(FORMS["binary"], BITS), Learning())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(torch.inf)
    with pytest.raises(TrainingError, match="training diverged"):
        module.trained()
