"""What 8 bits cost in accuracy: EfficientNet-Lite0 on ImageNet photos, the demo network.

python -m benchmarks.cpu_accuracy [--quick] [--only PATTERN] [--json FILE]

EfficientNet-Lite0 (real weights) classifies the 20 ImageNet photos of the foolbox package, and is
calibrated on crops of scikit-image's sample photos, which it is not scored on. The demo network
classifies its slice of Fashion-MNIST's test images, calibrated on training images. Both run as
compiled for this CPU.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import codesign
from benchmarks import torch_zoo
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from codesign.demo import data as demo_data

SIZE = 224
CROPS = 8
METHODS = ("minmax", "percentile", "mse", "entropy")
SAMPLES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")


def prepared(image: Any, size: int = SIZE) -> np.ndarray:
    """A photo as EfficientNet-Lite takes it: [1, 3, size, size], (value - 127) / 128."""
    scaled = np.asarray(image.convert("RGB").resize((size, size), 3), np.float32)
    return ((scaled - 127.0) / 128.0).transpose(2, 0, 1)[None].copy()


def photos() -> tuple[np.ndarray, np.ndarray]:
    """The photos [20, 3, 224, 224] and their ImageNet labels."""
    from PIL import Image

    paths = sorted((torch_zoo.folder("foolbox") / "data").glob("imagenet_*.jpg"))
    labels = np.array([int(path.stem.split("_")[2]) for path in paths])
    return np.concatenate([prepared(Image.open(path)) for path in paths]), labels


def crops() -> Iterator[np.ndarray]:
    """Random crops of scikit-image's sample photos."""
    from PIL import Image

    random = np.random.default_rng(0)
    folder = torch_zoo.folder("skimage") / "data"
    for path in (folder / name for name in SAMPLES if (folder / name).exists()):
        image = Image.open(path).convert("RGB")
        for _ in range(CROPS):
            side = int(random.integers(min(image.size) // 2, min(image.size)))
            left, top = (int(random.integers(0, extent - side + 1)) for extent in image.size)
            yield prepared(image.crop((left, top, left + side, top + side)))


def correct(compiled: Any, images: np.ndarray, labels: np.ndarray) -> int:
    """How many images the compiled network labels right."""
    name, output = compiled.inputs[0].name, compiled.outputs[0].name
    found = [compiled.run({name: image[None]})[output].argmax() for image in images]
    return int((np.array(found) == labels).sum())


def efficientnet(options: Options) -> list[Row]:
    """Photos that EfficientNet-Lite0 gets right in float and in each way of calibrating."""
    module, example = torch_zoo.load("efficientnet-lite0")
    images, labels = photos()
    program = codesign.load(module, example_inputs=example)
    entry = program.graph.inputs[0]
    calibration = {entry: np.concatenate(list(crops()))}
    plain = codesign.compile(program, "cpu", passes=[], measure="none")
    rows = [Row("efficientnet_lite0 float32", correct(plain, images, labels), "of 20")]
    for method in METHODS[2:3] if options.quick else METHODS:
        say(f"efficientnet_lite0 int8 {method}")
        passes = [f"quantize-int8{{method={method}}}"]
        small = codesign.compile(
            program, "cpu", passes=passes, calibration=calibration, measure="none"
        )
        default = method == "mse"
        goal, sense = (17.0, ">=") if default else (None, None)
        count = correct(small, images, labels)
        rows.append(Row(f"efficientnet_lite0 int8 {method}", count, "of 20", goal, sense))  # type: ignore[arg-type]
    return rows


def demo(options: Options) -> list[Row]:
    """Points that the demo network loses in 8 bits."""
    from codesign.demo.network import example

    test, calibration = demo_data.load_test(), demo_data.load_calibration()
    module, inputs = example()
    program = codesign.load(module, example_inputs=inputs)
    entry = program.graph.inputs[0]
    plain = codesign.compile(program, "cpu", passes=[], measure="none")
    before = correct(plain, test.images, test.labels)
    small = codesign.compile(
        program,
        "cpu",
        passes=["quantize-int8"],
        calibration={entry: calibration.images},
        measure="none",
    )
    after = correct(small, test.images, test.labels)
    count = len(test.labels)
    detail = {"float32_correct": before, "int8_correct": after, "images": count}
    return [Row("demo int8 loss", 100 * (before - after) / count, "points", 0.3, "<=", detail)]


def main(argv: list[str] | None = None) -> None:
    """Score and publish."""
    options = options_from("cpu_accuracy", make_parser(__doc__ or "").parse_args(argv))
    rows: list[Row] = []
    for name, score in (("demo", demo), ("efficientnet_lite0", efficientnet)):
        if options.selects(name):
            say(name)
            rows += score(options)
    publish(options, rows, {"calibration_crops": CROPS * len(SAMPLES), "photos": 20})


if __name__ == "__main__":
    main(sys.argv[1:])
