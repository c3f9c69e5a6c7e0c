"""Training after compression: gives back what was lost, repeats, goes on where it stopped."""

import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
import torch

from codesign import plugins
from codesign.errors import RefusedError, TrainingError, UsageError
from codesign.ir.builder import Builder
from codesign.ir.encodings import NM, Binary, Int
from codesign.ir.graph import Graph
from codesign.ir.ops.activation import Relu
from codesign.ir.ops.convolution import Conv
from codesign.ir.ops.matmul import Linear
from codesign.ir.ops.norm import BatchNorm
from codesign.ir.ops.pool import MaxPool
from codesign.ir.ops.reduce import ReduceMean
from codesign.ir.ops.shape import Flatten, Reshape
from codesign.ir.ops.softmax import Softmax
from codesign.ir.program import Program
from codesign.passes.recover.batches import Batches
from codesign.passes.recover.latents import latents
from codesign.passes.recover.losses import Loss
from codesign.progress import Progress, silent
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pass, run_pipeline
from codesign.rewrite.score import Scorer
from tests.ir.running import f32, normal

CLASSES = 4
FAST = "epochs=6,batch=32,rate=0.02,"


def network(softmax: bool = False) -> Graph:
    """Three convolutions with batch norms and a classifier, untrained."""
    b = Builder("net")
    y = b.input("x", (1, 1, 8, 8))
    for i, (before, after) in enumerate(((1, 8), (8, 8), (8, 8))):
        w = b.constant(normal(after, before, 3, 3, seed=i) * (9 * before) ** -0.5, f"w{i}")
        y = b.op(Conv(pads=((1, 1), (1, 1))), y, w, name=f"conv{i}")
        values = (np.ones(after), np.zeros(after), np.zeros(after), np.ones(after))
        norm = [b.constant(f32(v), f"n{i}") for v in values]
        y = b.op(Relu(), b.op(BatchNorm(), y, *norm, name=f"norm{i}"), name=f"relu{i}")
        y = b.op(MaxPool((2, 2), (2, 2)), y, name="pool") if i == 0 else y
    y = b.op(Flatten(1), b.op(ReduceMean((2, 3), False), y, name="mean"), name="flat")
    y = b.op(Linear(), y, b.constant(normal(CLASSES, 8, seed=9) * 0.3, "v"), name="fc")
    return b.graph(b.op(Softmax(), y, name="p") if softmax else y, output_names=["out"])


def images(count: int, seed: int = 0) -> Dataset:
    """Bars: which quarter of the image is bright is the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    x = random.normal(0, 0.6, (count, 1, 8, 8)).astype(np.float32)
    for i, label in enumerate(labels):
        x[i, 0, 2 * label : 2 * label + 2, :: 1 + label % 2] += 1.5
    return Dataset({"x": x}, labels)


@cache
def trained() -> Graph:
    """The network in float, taught by labels."""
    context = Context(training=images(256), original=network())
    step = plugins.make("pass", f"recover{{{FAST}distill=0}}")
    return run_pass(Program(network()), step, context).graph


def right(graph: Graph) -> float:
    return Scorer(graph, images(256, 5), 0)(graph).accuracy or 0.0


def piped(*specs: str, progress: Progress = silent, **more: object) -> tuple[Graph, Context]:
    """The trained network after the passes of `specs`."""
    given = {"training": images(256), "calibration": images(32, 7), **more}
    context = Context(progress=progress, **given)  # type: ignore[arg-type]
    steps = [plugins.make("pass", spec) for spec in specs]
    after, _ = run_pipeline(Program(trained()), steps, context)
    return after.graph, context


def test_labels_alone_teach() -> None:
    assert right(network()) < 0.5 < 0.9 < right(trained())


@pytest.mark.parametrize(
    ("compress", "options"),
    [
        ("binarize", ""),
        ("binarize{method=bnn}", "surrogate=triangle"),
        ("binarize{weights=2,activations=2}", "distill=1"),
        ("prune-magnitude{pattern=2:4,min_elements=1,skip=[fc]}", "distance=mse"),
        ("quantize-int8{slower=true}", "optimizer=sgd,weight_decay=0.0001"),
    ],
)
def test_it_gives_back_what_compression_cost(compress: str, options: str) -> None:
    before, _ = piped(compress)
    rate = "0.005" if compress.startswith("q") else "0.02"
    after, context = piped(compress, f"recover{{{FAST}{options}}}".replace("0.02", rate))
    assert right(after) >= max(right(before), right(trained()) - 0.06)
    for value, kind in before.types.items():
        assert [e.kind for e in after.types[value].encodings] == [e.kind for e in kind.encodings]
    assert context.remarks[0].startswith("loss ")


def test_masks_stay_and_so_do_statistics_that_are_asked_to() -> None:
    prune = "prune-magnitude{pattern=2:4,min_elements=1,skip=[fc]}"
    before, _ = piped(prune)
    after, _ = piped(prune, f"recover{{{FAST}momentum=0}}")
    sparse = [v for v, k in before.types.items() if isinstance(k.structure, NM)]
    assert sparse
    for value in sparse:
        old, new = before.constants[value].array, after.constants[value].array
        assert not new[old == 0].any() and not np.array_equal(old, new)
    for node in after.walk("batch_norm"):
        for value in node.operands[3:]:
            assert after.constants[value] == before.constants[value]


def test_without_labels_the_network_as_it_came_is_the_teacher() -> None:
    plain = Dataset(images(256).inputs)
    validation = Dataset(images(64, 5).inputs)
    given = {"training": plain, "validation": validation}
    steps = ["binarize{weights=3,activations=3}", f"recover{{{FAST}}}"]
    context = Context(calibration=images(32, 7), **given)  # type: ignore[arg-type]
    made = [plugins.make("pass", spec) for spec in steps]
    _, ledger = run_pipeline(Program(trained()), made, context)
    was, after = (row.snr_db for row in ledger.rows[1:])
    assert was is not None and after is not None and after > was + 2


def test_weights_start_from_the_floats_that_were_rounded() -> None:
    before, context = piped("binarize")
    found = latents(before, context.original)
    assert set(found) == {"w1.binary", "w2.binary"}
    np.testing.assert_array_equal(found["w1.binary"], trained().constants["w1"].array)
    assert not latents(before, None)
    changed = replace(trained(), constants={**trained().constants})
    flipped = {**changed.constants, "w1": type(changed.constants["w1"])(-found["w1.binary"])}
    assert set(latents(before, replace(changed, constants=flipped))) == {"w2.binary"}


def test_the_same_seed_gives_the_same_weights() -> None:
    options = f"recover{{{FAST}epochs=1,shift=1,flip=true}}".replace("epochs=6,", "")
    one, two, other = (piped("binarize", options, seed=seed)[0] for seed in (3, 3, 4))
    assert one == two
    assert one != other


class StoppedError(Exception):
    """What ends a training from outside."""


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_training_that_was_cut_off_goes_on_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    kept = f"checkpoint={tmp_path / 'kept'},save_seconds=0"
    options = f"epochs=2,batch=32,optimizer={optimizer},shift=1,flip=true"
    calls = []

    def stop(message: str, done: float) -> None:
        calls.append(message)
        if sum("epoch 2" in m for m in calls) == 3:
            raise StoppedError

    whole, _ = piped("binarize", f"recover{{{options}}}")
    with pytest.raises(Exception, match="StoppedError"):
        piped("binarize", f"recover{{{options},{kept}}}", progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    resumed: list[str] = []
    after, _ = piped(
        "binarize", f"recover{{{options},{kept}}}", progress=lambda m, d: resumed.append(m)
    )
    assert after == whole
    assert not any("epoch 1" in m for m in resumed)
    again, _ = piped("binarize", f"recover{{{options},{kept}}}")  # and once it is done
    assert again == whole


KILLED = """
import torch
torch.set_num_threads(1)
from tests.passes.test_recover import piped
piped("binarize", "recover{epochs=300,batch=32,checkpoint=%s,save_seconds=0}")
"""


def test_a_killed_process_leaves_a_checkpoint_that_is_whole(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code, root = KILLED % kept, Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    deadline = time.monotonic() + 120
    while not kept.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(SIGKILL)
    assert process.wait() == -SIGKILL
    seen: list[float] = []

    def stop(message: str, done: float) -> None:
        if "epoch" in message:
            seen.append(done)
            raise StoppedError

    options = f"epochs=300,batch=32,checkpoint={kept}"
    with pytest.raises(Exception, match="StoppedError"):
        piped("binarize", f"recover{{{options}}}", progress=stop)
    assert seen[0] > 0.5 + 1.5 / (300 * 8) / 2  # beyond the first step of the second pass


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    options = f"epochs=1,batch=128,checkpoint={kept}"
    piped("binarize", f"recover{{{options}}}")
    with pytest.raises(TrainingError, match="is of another training"):
        piped("binarize", f"recover{{{options}}}", seed=1)
    with pytest.raises(TrainingError, match="is of another training"):
        piped("binarize{method=bnn}", f"recover{{{options}}}")
    content = kept.read_bytes()
    for damaged in (content[:100], b"", content[:-7]):
        kept.write_bytes(damaged)
        with pytest.raises(TrainingError, match="cannot be read"):
            piped("binarize", f"recover{{{options}}}")


def test_a_training_that_diverges_says_so() -> None:
    with pytest.raises(TrainingError, match=r"training diverged: the loss is .* lower rate"):
        piped("binarize", f"recover{{{FAST}optimizer=sgd,rate=1e12}}".replace("rate=0.02,", ""))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("epochs=0", "epochs is 0, expected at least 1"),
        ("batch=1", "batch is 1"),
        ("rate=0.0", "rate is 0.0, expected more than 0"),
        ("momentum=1.0", "momentum is 1.0"),
        ("distill=2.0", "distill is 2.0, expected between 0 and 1"),
        ("distill=0,distance=mse", "has no meaning with distill=0"),
        ("weight_decay=-1", "weight_decay is -1.0"),
        ("optimizer=lion", "expected one of adam, sgd"),
    ],
)
def test_options_out_of_place_are_refused(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plugins.make("pass", f"recover{{{options}}}")


def test_data_that_does_not_do_is_refused() -> None:
    plain = Dataset(images(64).inputs)
    high = Dataset(images(64).inputs, np.full(64, 9))
    for given, options, message in (
        ({"training": None}, "batch=8", "recover needs training data.*--training"),
        ({"training": plain}, "batch=8,distill=0.5", "the training data has none"),
        ({"training": images(64)}, "batch=65", "there are 64 training samples"),
        ({"training": high}, "batch=8", "a label of the training data is 9.* 4 classes"),
    ):
        with pytest.raises(UsageError, match=message):
            piped(f"recover{{{options}}}", **given)
    step = plugins.make("pass", "recover{batch=8}")
    with pytest.raises(UsageError, match="no network to be taught by"):
        run_pass(Program(trained()), step, Context(training=images(64)))


def test_networks_that_fix_the_batch_are_refused() -> None:
    b = Builder("fixed")
    y = b.op(Reshape((1, 64)), b.input("x", (1, 1, 8, 8)))
    graph = b.graph(b.op(Linear(), y, b.constant(normal(4, 64))))
    context = Context(training=images(64), original=graph)
    with pytest.raises(RefusedError, match="'fixed' computes on batches of one size alone"):
        run_pass(Program(graph), plugins.make("pass", "recover{batch=8}"), context)


def test_images_are_moved_and_mirrored() -> None:
    x = np.arange(4 * 2 * 3 * 5, dtype=np.float32).reshape(4, 2, 3, 5)
    batches = Batches(Dataset({"x": x}), ("x",), 4, 0, shift=1, flip=True)
    (found,), labels = batches(0, torch.arange(4))
    assert labels is None
    allowed = []
    for rows in range(-1, 2):
        for columns in range(-1, 2):
            r, c = np.clip(np.arange(3) + rows, 0, 2), np.clip(np.arange(5) + columns, 0, 4)
            allowed += [x[:, :, r][..., c], x[:, :, r][..., c[::-1]]]
    picked = [
        next(i for i, way in enumerate(allowed) if np.array_equal(way[n], found[n].numpy()))
        for n in range(4)
    ]
    assert len(set(picked)) > 1
    (again,), _ = batches(0, torch.arange(4))
    assert torch.equal(again, found) and not torch.equal(batches(1, torch.arange(4))[0][0], found)
    order = batches.order(0)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="shift and flip vary images"):
        Batches(Dataset({"x": x[0]}), ("x",), 2, 0, flip=True)


def test_the_loss_is_that_of_the_papers() -> None:
    y, t = torch.randn(5, 3), torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 0, 1])
    kl = Loss(1.0, "kl", 3.0, 0.0, False)((y,), None, (t,))
    p, q = torch.softmax(t / 3, 1), torch.softmax(y / 3, 1)
    torch.testing.assert_close(kl, 9 * (p * (p / q).log()).sum(1).mean())
    mixed = Loss(0.25, "mse", 1.0, 0.0, False)((y,), labels, (t,))
    entropy = -torch.log_softmax(y, 1)[torch.arange(5), labels].mean()
    want = 0.75 * entropy + 0.25 * (y - t).square().sum() / t.square().sum()
    torch.testing.assert_close(mixed, want)
    soft = Loss(0.0, "kl", 1.0, 0.0, True)((torch.softmax(y, 1),), labels, ())
    torch.testing.assert_close(soft, entropy)


def test_networks_that_end_in_probabilities_are_trained_too() -> None:
    graph = network(softmax=True)
    context = Context(training=images(256), original=graph)
    step = plugins.make("pass", f"recover{{{FAST}distill=0}}")
    assert right(run_pass(Program(graph), step, context).graph) > 0.9


def test_learned_steps_reach_the_encodings() -> None:
    before, _ = piped("binarize")
    after, _ = piped("binarize", "recover{epochs=1,batch=64}")
    fixed, _ = piped("binarize", "recover{epochs=1,batch=64,learn_steps=false}")
    for value in ("pool.bits", "relu1.bits"):
        old, new, kept = (g.types[value].integer for g in (before, after, fixed))
        assert isinstance(new, Int) and old == kept != new
    assert isinstance(after.types["w1.binary"].element, Binary)


def test_training_is_not_undone_for_being_no_faster() -> None:
    context = Context(training=images(64))
    step = plugins.make("pass", "recover{epochs=1,batch=32,distill=0}")
    after, ledger = run_pipeline(Program(trained()), [step], context, require_speedup=1000.0)
    assert after.graph != trained() and not ledger.rows[-1].refused
