"""The slice of Fashion-MNIST that comes with codesign, read with numpy alone."""

import zlib
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

ARCHIVE = Path(__file__).with_name("fashion_mnist.npz")
MEAN = 0.2860
STD = 0.3530
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


class Samples(NamedTuple):
    """Images float32 [N, 1, 28, 28], normalized, and labels int64 [N] in 0..9."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def normalize(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey values 0..255 -> zero mean and unit variance over the training images."""
    scaled = (pixels.astype(np.float32) / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    return scaled.astype(np.float32)


def load_calibration(archive: Path = ARCHIVE) -> Samples:
    """256 images of the training set, for calibrating a quantization; never for accuracy."""
    return _load(archive, "calibration")


def load_test(archive: Path = ARCHIVE) -> Samples:
    """The first 4,000 images of the test set, which training never saw."""
    return _load(archive, "test")


def _load(archive: Path, part: str) -> Samples:
    try:
        with np.load(archive, allow_pickle=False) as arrays:
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"cannot read the {part} images from {archive}: {error}; "
            "reinstall codesign, or write it again with `python -m benchmarks.train_demo`"
        ) from error
    return Samples(normalize(images), labels.astype(np.int64))
