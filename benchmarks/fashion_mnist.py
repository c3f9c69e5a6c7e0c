"""The complete Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), read from its four IDX files."""

import gzip
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HOW_TO_GET = (
    "install Debian's package dataset-fashion-mnist, or download the four IDX files named in "
    "Zalando's fashion-mnist repository and pass their folder with --data"
)
UNSIGNED_BYTE = 0x08


class Dataset(NamedTuple):
    """Images uint8 [60000 or 10000, 1, 28, 28] and labels uint8 of training and test set."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def load(folder: Path = DEBIAN_FOLDER) -> Dataset:
    """Reads all four files of a folder, `.gz` or plain; DataError names what is missing."""
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"))
        if images.shape != (len(labels), 28, 28):
            raise DataError(f"{folder}: {part} has images {images.shape}, labels {labels.shape}")
        parts += [images[:, None], labels]
    return Dataset(*parts)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """One IDX file of unsigned bytes: magic 0 0 8 rank, big-endian sizes, then the bytes."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, rank = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{rank}I", raw, 4)
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path}: not a readable IDX file ({error}); {HOW_TO_GET}") from error
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * rank)
    if zero != 0 or kind != UNSIGNED_BYTE or body.size != int(np.prod(shape)):
        raise DataError(
            f"{path}: expected IDX unsigned bytes of shape {shape}, "
            f"found type {kind:#x} and {body.size} bytes; {HOW_TO_GET}"
        )
    return body.reshape(shape)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"no {name}[.gz] in {folder}; {HOW_TO_GET}")
