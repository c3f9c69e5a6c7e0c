"""Trains the demo's network on Fashion-MNIST and writes its weights, test slice and score.

    python -m benchmarks.train_demo --epochs 24

The same seed on the same machine gives the same weights. SGD with Nesterov momentum, a linear
warm-up and a cosine to zero (Loshchilov and Hutter, 2017), label smoothing (Szegedy et al.,
2016), random shifts and horizontal flips. The last epoch is kept: the test set picks nothing.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from benchmarks import fashion_mnist
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from codesign.demo.data import ARCHIVE, MEAN, STD
from codesign.demo.network import ResidualNet, load_network
from codesign.errors import CodesignError

BATCH = 128
SHIFT = 2
PEAK_RATE = 0.2
WARM_UP = 0.15
CALIBRATION_IMAGES = 256
TEST_IMAGES = 4000
QUICK_IMAGES = 2048


def main(argv: Sequence[str] | None = None) -> int:
    """Trains or scores as the options say; the exit code of the process."""
    parsed = parse_arguments(argv)
    try:
        data = fashion_mnist.load(parsed.data)
        if parsed.quick:
            data = fashion_mnist.Dataset(*(part[:QUICK_IMAGES] for part in data))
        prepare(parsed.threads, parsed.seed)
        network = load_network(parsed.out / "network.safetensors") if parsed.score else None
        network = network or train(data, 1 if parsed.quick else parsed.epochs)
    except CodesignError as error:
        say(f"error: {error}")
        return error.exit_code
    correct = predictions(network, tensors(data.test_images)) == integers(data.test_labels)
    write(parsed.out, network, data, correct)
    report(parsed, network, correct)
    return 0


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = make_parser("train the demo network on Fashion-MNIST")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--out", type=Path, default=ARCHIVE.parent, help="folder to write to")
    parser.add_argument("--data", type=Path, default=fashion_mnist.DEBIAN_FOLDER)
    parser.add_argument("--score", action="store_true", help="train nothing, score --out's weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


def prepare(threads: int, seed: int) -> None:
    """Makes what follows repeat exactly; denormals would only slow it down."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def tensors(pixels: NDArray[np.uint8]) -> Tensor:
    """Normalized float32 [N, 1, 28, 28]."""
    return (torch.from_numpy(pixels.copy()).float() / 255 - MEAN) / STD


def integers(labels: NDArray[np.uint8]) -> Tensor:
    """Labels as int64 [N]."""
    return torch.from_numpy(labels.astype(np.int64))


def train(data: fashion_mnist.Dataset, epochs: int) -> ResidualNet:
    """A new network, trained; a line of loss and time after each epoch."""
    images, labels = tensors(data.train_images), integers(data.train_labels)
    network = ResidualNet()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = epochs * (len(images) // BATCH)
    optimizer = torch.optim.SGD(
        network.parameters(), PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    for epoch in range(epochs):
        start = time.perf_counter()
        loss = train_epoch(network, batches(images, labels), optimizer, schedule)
        say(f"epoch {epoch + 1}/{epochs}: loss {loss:.4f}, {time.perf_counter() - start:.0f} s")
    return network


def train_epoch(
    network: nn.Module,
    data: Iterator[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """One pass over the data; the mean loss."""
    network.train()
    losses = []
    for x, y in data:
        loss = nn.functional.cross_entropy(network(x), y, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def rate(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: a ramp, then half a cosine."""
    warm = max(1, int(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def batches(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of shuffled, augmented full batches."""
    order = torch.randperm(len(images))
    for start in range(0, len(order) // BATCH * BATCH, BATCH):
        chosen = order[start : start + BATCH]
        x = augment(images[chosen])
        yield x.contiguous(memory_format=torch.channels_last), labels[chosen]


def augment(x: Tensor) -> Tensor:
    """Shifts each image by up to SHIFT pixels both ways and mirrors half of them."""
    size = x.shape[-1]
    edge = -MEAN / STD
    padded = nn.functional.pad(x, (SHIFT,) * 4, value=edge)[:, 0]
    offsets = torch.randint(0, 2 * SHIFT + 1, (2, len(x), 1))
    rows, columns = torch.arange(size) + offsets
    columns = torch.where(torch.rand(len(x), 1) < 0.5, columns.flip(1), columns)
    index = torch.arange(len(x))[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]][:, None]


def predictions(network: nn.Module, images: Tensor) -> Tensor:
    """The class of each image, int64 [N]."""
    network.eval()
    with torch.inference_mode():
        starts = range(0, len(images), 500)
        return torch.cat([network(images[i : i + 500]).argmax(1) for i in starts])


def write(out: Path, network: ResidualNet, data: fashion_mnist.Dataset, correct: Tensor) -> None:
    """Writes network.safetensors, fashion_mnist.npz and network.json into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    (out / "network.safetensors").write_bytes(save(state))
    np.savez_compressed(
        out / "fashion_mnist.npz",
        calibration_images=data.train_images[:CALIBRATION_IMAGES],
        calibration_labels=data.train_labels[:CALIBRATION_IMAGES],
        test_images=data.test_images[:TEST_IMAGES],
        test_labels=data.test_labels[:TEST_IMAGES],
    )
    score = {
        "parameters": parameters(network),
        "test_images": len(correct),
        "test_correct": int(correct.sum()),
        "slice_images": len(correct[:TEST_IMAGES]),
        "slice_correct": int(correct[:TEST_IMAGES].sum()),
    }
    (out / "network.json").write_text(json.dumps(score, indent=2) + "\n")


def report(parsed: argparse.Namespace, network: ResidualNet, correct: Tensor) -> None:
    """Publishes accuracy and size; weights in another folder than the package's are a trial."""
    options = options_from("train_demo", parsed)
    if parsed.out != ARCHIVE.parent and parsed.json is None:
        options = Options(options.name, options.quick, options.only, None)
    accuracy = 100 * int(correct.sum()) / len(correct)
    detail = {"correct": int(correct.sum()), "images": len(correct)}
    rows = [
        Row("demo network, test accuracy", accuracy, "%", 92.0, ">=", detail),
        Row("demo network, parameters", parameters(network), "", 300_000, "<="),
    ]
    names = ("epochs", "seed", "threads")
    publish(options, rows, {name: getattr(parsed, name) for name in names})


def parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(weights.numel() for weights in network.parameters())


if __name__ == "__main__":
    sys.exit(main())
