"""The training script, on a data set small enough to train on in a second."""

import gzip
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import fashion_mnist, train_demo
from codesign.demo.data import MEAN, STD, load_calibration, load_test
from codesign.demo.network import load_network
from codesign.errors import DataError

BATCH = 16
SIZES = {"train": 256, "t10k": 64}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_demo, "BATCH", BATCH)


@pytest.fixture(autouse=True)
def settings_of_torch() -> Iterator[None]:
    """Undoes what the script sets for its whole process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An easy data set: the class is the row of a bright bar."""
    rng = np.random.default_rng(0)
    for part, count in SIZES.items():
        labels = rng.integers(0, 10, count).astype(np.uint8)
        images = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        images[np.arange(count), 4 + 2 * labels, 6:22] = 255
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_reads_the_four_files(folder: Path) -> None:
    data = fashion_mnist.load(folder)
    assert data.train_images.shape == (256, 1, 28, 28)
    assert data.test_labels.shape == (64,)
    bar = data.test_images[0, 0, :, 10].argmax()
    assert bar == 4 + 2 * int(data.test_labels[0])


def test_missing_truncated_and_foreign_files_say_how_to_get_them(folder: Path) -> None:
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        fashion_mnist.load(folder / "elsewhere")
    path = folder / "train-images-idx3-ubyte.gz"
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(whole[:-100]))
    with pytest.raises(DataError, match="200604 bytes"):
        fashion_mnist.load(folder)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="not a readable IDX file"):
        fashion_mnist.load(folder)


def test_the_same_seed_trains_the_same_network(folder: Path) -> None:
    data = fashion_mnist.Dataset(*(part[:BATCH] for part in fashion_mnist.load(folder)))
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(train_demo.train(data, 2).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(n.values() for n in networks), strict=True))


def test_learns_and_writes_what_the_demo_loads(folder: Path, tmp_path: Path) -> None:
    out, results = tmp_path / "out", tmp_path / "score.json"
    argv = ["--data", str(folder), "--out", str(out), "--json", str(results)]
    assert train_demo.main([*argv, "--epochs", "4"]) == 0
    score = json.loads((out / "network.json").read_text())
    assert score["test_images"] == 64
    assert score["test_correct"] > 32, "ten easy classes: chance is 6"
    assert len(load_test(out / "fashion_mnist.npz").labels) == 64
    assert len(load_calibration(out / "fashion_mnist.npz").labels) == 256
    network = load_network(out / "network.safetensors")
    images = torch.from_numpy(load_test(out / "fashion_mnist.npz").images)
    labels = torch.from_numpy(load_test(out / "fashion_mnist.npz").labels)
    with torch.inference_mode():
        assert int((network(images).argmax(1) == labels).sum()) == score["test_correct"]
    assert train_demo.main([*argv, "--score"]) == 0
    assert json.loads((out / "network.json").read_text()) == score


def test_no_data_is_an_error_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_demo.main(["--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "pass their folder with --data" in capsys.readouterr().err


def test_augmented_images_are_shifted_or_mirrored_originals() -> None:
    torch.manual_seed(0)
    edge = -MEAN / STD
    original = torch.full((1, 1, 28, 28), edge)
    original[0, 0, 10:18, 10:14] = torch.rand(8, 4)
    ink = original[original != edge].sort().values
    for x in train_demo.augment(original.expand(32, 1, 28, 28)):
        torch.testing.assert_close(x[x != edge].sort().values, ink)
        rows = (x[0] != edge).any(1).nonzero().flatten()
        assert abs(int(rows[0]) - 10) <= train_demo.SHIFT


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [train_demo.rate(step, 100) for step in range(100)]
    assert rates.index(max(rates)) in (14, 15)
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.1
    assert rates[-1] < 0.001
