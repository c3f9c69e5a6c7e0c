"""What binary and ternary layers cost in accuracy on Fashion-MNIST, after `recover`.

python -m benchmarks.binary_accuracy [--quick] [--only PATTERN] [--json FILE] [--work DIR]

Subjects are the demo's network as it stands, with its convolutions by channel, and a plain residual
network of the same size (`benchmarks/plain_network.py`), which is trained in float first as the
demo was. Each goes through the compiler's own passes: `binarize` leaves the first and last layer
alone, `recover` trains the rest on the training images. Accuracy is that of all 10,000 test images
on the interpreter's meaning, which the passes never see. With --work what was reached is kept in
that folder, and a run that was cut off goes on from there.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import codesign
from benchmarks import fashion_mnist, train_demo
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from benchmarks.plain_network import PlainResidualNet
from codesign import plugins
from codesign.demo.network import load_network
from codesign.errors import CodesignError
from codesign.interpret.integer import evaluate_integer
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pipeline import run_pipeline
from codesign.rewrite.rebatch import rebatch
from codesign.rewrite.score import accuracy, answers

EPOCHS = 10  # of the plain network in float
QUICK_IMAGES = 1000
BATCH = 50  # of test images on the integer interpreter
SECONDS = 2.0  # between two lines of progress


@dataclass(frozen=True)
class Case:
    """Passes, how many epochs `recover` takes on each network, and the points that may be lost."""

    name: str
    binarize: str
    epochs: Mapping[str, int]
    recover: str
    goal: float


TERNARY = "binarize{weights=ternary,activations=0}"
CASES = (
    Case("W1A1", "binarize", {"plain": 12, "demo": 4}, "rate=0.003,flip=true", 3.5),
    Case("ternary weights", TERNARY, {"plain": 5, "demo": 5}, "flip=true", 0.5),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, score and publish as the options say; the exit code of the process."""
    parsed = parse_arguments(argv)
    options = options_from("binary_accuracy", parsed)
    try:
        data = fashion_mnist.load(parsed.data)
        if parsed.quick:
            data = fashion_mnist.Dataset(*(part[:QUICK_IMAGES] for part in data))
        train_demo.prepare(parsed.threads, parsed.seed)
        with tempfile.TemporaryDirectory() as scratch:
            work = parsed.work or Path(scratch)
            rows = [
                row
                for name, network in subjects(work, data, parsed.quick).items()
                for row in scored(name, network, data, work, options, parsed)
            ]
    except CodesignError as error:
        say(f"error: {error}")
        return error.exit_code
    settings = {name: getattr(parsed, name) for name in ("seed", "threads")}
    publish(options, rows, {**settings, "float_epochs": EPOCHS})
    return 0


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = make_parser("accuracy that binary and ternary layers cost")
    parser.add_argument("--data", type=Path, default=fashion_mnist.DEBIAN_FOLDER)
    parser.add_argument("--work", type=Path, help="keep what was reached in this folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


Maker = Callable[[], nn.Module]


def subjects(work: Path, data: fashion_mnist.Dataset, quick: bool) -> dict[str, Maker]:
    """What makes each network, by its name."""
    return {"plain": lambda: plain(work, data, quick), "demo": load_network}


def plain(work: Path, data: fashion_mnist.Dataset, quick: bool) -> nn.Module:
    """The plain network, trained in float as the demo was, or as `work` has it."""
    from safetensors.torch import load_file, save_file

    path, network = work / "plain.safetensors", PlainResidualNet()
    if path.is_file():
        network.load_state_dict(load_file(path))
        return network.eval()
    train_float(network, data, 1 if quick else EPOCHS)
    work.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return network.eval()


def train_float(network: nn.Module, data: fashion_mnist.Dataset, epochs: int) -> None:
    """Train as `benchmarks.train_demo` does; a line after each epoch."""
    images, labels = train_demo.tensors(data.train_images), train_demo.integers(data.train_labels)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = epochs * (len(images) // train_demo.BATCH)
    optimizer = torch.optim.SGD(
        network.parameters(), train_demo.PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: train_demo.rate(k, steps))
    for epoch in range(epochs):
        batches = train_demo.batches(images, labels)
        loss = train_demo.train_epoch(network, batches, optimizer, schedule)
        say(f"plain, float32: epoch {epoch + 1}/{epochs}: loss {loss:.4f}")


def scored(
    name: str,
    make: Maker,
    data: fashion_mnist.Dataset,
    work: Path,
    options: Options,
    parsed: argparse.Namespace,
) -> list[Row]:
    """The points that each case loses on one network."""
    cases = [case for case in CASES if options.selects(f"{name} {case.name}")]
    if not cases:
        return []
    program = codesign.load(make(), example_inputs=(torch.zeros(1, 1, 28, 28),))
    entry, test = program.graph.inputs[0], dataset(data.test_images, data.test_labels)
    before = score(program, test, entry)
    say(f"{name}, float32: {before:.2f} %")
    rows = []
    for case in cases:
        after, passes, context = recovered(program, case, name, data, work, parsed)
        found, whole = (
            score(after, test, entry),
            integer_score(in_codes(after, context), test, entry),
        )
        say(f"{name}, {case.name}: {found:.2f} %, with the other layers in 8 bits {whole:.2f} %")
        detail = {
            "float32_percent": round(before, 2),
            "percent": round(found, 2),
            "others_8_bit_percent": round(whole, 2),
            "images": test.size,
            "passes": passes,
            "parameters": train_demo.parameters(make()),
        }
        lost = round(before - found, 2)  # to the image: there are 10,000
        rows.append(Row(f"{name} {case.name}", lost, "points", case.goal, "<=", detail))
    return rows


def recovered(
    program: Program,
    case: Case,
    name: str,
    data: fashion_mnist.Dataset,
    work: Path,
    parsed: argparse.Namespace,
) -> tuple[Program, list[str], Context]:
    """`program` after the passes of `case`, these in words, and the context that they had."""
    epochs = 1 if parsed.quick else case.epochs[name]
    plain_ = f"recover{{epochs={epochs},{case.recover}}}"
    kept = work / f"{name}-{case.name.replace(' ', '-')}.checkpoint"
    work.mkdir(parents=True, exist_ok=True)
    passes = [plugins.make("pass", case.binarize)]
    passes.append(plugins.make("pass", f"{plain_[:-1]},checkpoint={kept}}}"))
    entry, training = program.graph.inputs[0], dataset(data.train_images, data.train_labels)
    named = Dataset({entry: training.inputs[""]}, training.labels)
    context = Context(
        calibration=Dataset(named.first(256).inputs),
        seed=parsed.seed,
        progress=telling(f"{name}, {case.name}"),
        training=named,
        score_samples=64,
    )
    after, _ = run_pipeline(program, passes, context)
    return after, [case.binarize, plain_], context


def in_codes(program: Program, context: Context) -> Program:
    """`program` with the layers that are in float yet in 8 bits, by integers alone."""
    passes = [plugins.make("pass", spec) for spec in ("fold-batch-norm", "quantize-int8")]
    after, _ = run_pipeline(program, passes, context)
    return after


def integer_score(program: Program, test: Dataset, entry: str) -> float:
    """Percent of the `test` images that the integer interpreter, batch by batch, gets right."""
    graph, right = rebatch(program.graph, BATCH), 0
    assert graph is not None and test.labels is not None
    for start in range(0, test.size, BATCH):
        found = evaluate_integer(graph, {entry: test.inputs[""][start : start + BATCH]})
        guessed = found[graph.output_names[0]].argmax(axis=1)
        right += int((guessed == test.labels[start : start + BATCH]).sum())
    return 100 * right / test.size


def dataset(images: Any, labels: Any) -> Dataset:
    """Images as the networks take them, under no name yet, and labels."""
    return Dataset({"": train_demo.tensors(images).numpy()}, labels.astype(np.int64))


def score(program: Program, test: Dataset, entry: str) -> float:
    """Percent of the `test` images that the interpreter classifies as labelled."""
    assert test.labels is not None
    found = answers(program.graph, Dataset({entry: test.inputs[""]}), test.size)
    return 100 * accuracy(found[program.graph.output_names[0]], test.labels)


def telling(what: str) -> Callable[[str, float], None]:
    """A progress report in a line now and then."""
    last = [0.0]

    def report(message: str, done: float) -> None:
        if time.monotonic() - last[0] >= 15 * SECONDS:
            last[0] = time.monotonic()
            say(f"{what}: {done:4.0%} {message}")

    return report


if __name__ == "__main__":
    sys.exit(main())
