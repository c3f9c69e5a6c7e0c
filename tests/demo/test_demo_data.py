"""The committed slice of Fashion-MNIST."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codesign.demo.data import ARCHIVE, CLASSES, load_calibration, load_test, normalize
from codesign.errors import DataError


@pytest.mark.parametrize(("samples", "count"), [(load_test(), 4000), (load_calibration(), 256)])
def test_shapes_types_and_values(samples: tuple[np.ndarray, np.ndarray], count: int) -> None:
    images, labels = samples
    assert images.shape == (count, 1, 28, 28)
    assert images.dtype == np.float32
    assert labels.shape == (count,)
    assert labels.dtype == np.int64
    assert set(labels.tolist()) == set(range(len(CLASSES)))
    assert abs(float(images.mean())) < 0.05
    assert abs(float(images.std()) - 1) < 0.05


def test_normalization_maps_the_range_of_pixels() -> None:
    ends = normalize(np.array([0, 255], np.uint8))
    np.testing.assert_allclose(ends, [-0.2860 / 0.3530, (1 - 0.2860) / 0.3530], rtol=1e-6)


def test_calibration_images_are_not_test_images() -> None:
    test = {image.tobytes() for image in load_test().images}
    assert not test & {image.tobytes() for image in load_calibration().images}


def test_missing_or_damaged_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="reinstall codesign"):
        load_test(tmp_path / "none.npz")
    damaged = tmp_path / "damaged.npz"
    whole = ARCHIVE.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (b"", b"not an archive", whole[:5000], bytes(flipped)):
        damaged.write_bytes(content)
        with pytest.raises(DataError, match="cannot read the test images"):
            load_test(damaged)


def test_assets_stay_small() -> None:
    assert sum(path.stat().st_size for path in ARCHIVE.parent.iterdir() if path.is_file()) < 3e6


def test_reading_the_data_loads_no_torch() -> None:
    code = "import sys, codesign.demo.data as d; d.load_test(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
