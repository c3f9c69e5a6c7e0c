"""External tensor data stays inside the model's folder."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from codesign.errors import InvalidModelError
from codesign.frontends.onnx import import_onnx
from tests.frontends import onnx_models as m

WEIGHT = m.random(4, 6)


def model_with(location: str, **entries: str) -> onnx.ModelProto:
    """A matrix product whose weight lies at `location`."""
    model = m.model_of([m.node("MatMul", "x w", "y")], [m.value("x", [2, 4])], ["y"], {"w": WEIGHT})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    """Write the model alone, without onnx's own handling of external data."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("entries", [{}, {"offset": "16"}, {"offset": "16", "length": "96"}])
def test_data_beside_the_model_is_read(tmp_path: Path, entries: dict[str, str]) -> None:
    (tmp_path / "data").mkdir()
    lead = bytes(int(entries.get("offset", "0")))
    (tmp_path / "data" / "w.bin").write_bytes(lead + WEIGHT.tobytes() + b"more")
    graph = import_onnx(saved(tmp_path, model_with("data/w.bin", **entries)))
    assert np.array_equal(graph.constants["w.transpose"].array, WEIGHT.T)


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "data/../../w.bin", "", ".", "C:\\w.bin", "..\\w.bin", "w\0.bin", "\\\\host\\w"],
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(InvalidModelError, match="initializer 'w'"):
        import_onnx(saved(folder, model_with(location)))


def test_an_absolute_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(InvalidModelError, match="relative path inside"):
        import_onnx(saved(tmp_path, model_with(str(tmp_path / "w.bin"))))


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_are_refused(tmp_path: Path, link: str) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "model"
    outside.mkdir()
    folder.mkdir()
    (outside / "w.bin").write_bytes(WEIGHT.tobytes())
    if link == "file":
        (folder / "w.bin").symlink_to(outside / "w.bin")
        location = "w.bin"
    else:
        (folder / "data").symlink_to(outside)
        location = "data/w.bin"
    with pytest.raises(InvalidModelError, match="is a link"):
        import_onnx(saved(folder, model_with(location)))


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.bin")
    with pytest.raises(InvalidModelError, match="not a plain file"):
        import_onnx(saved(tmp_path, model_with("w.bin")))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "8"}, r"holds 96 bytes, but offset 8 \+ 96"),
        ({"offset": "-8"}, "no byte count"),
        ({"offset": "99999999999999999999999"}, "no byte count"),
        ({"length": "95"}, "length is 95, its shape needs 96"),
        ({"length": "x"}, "no byte count"),
    ],
)
def test_sizes_and_offsets_are_checked(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(InvalidModelError, match=message):
        import_onnx(saved(tmp_path, model_with("w.bin", **entries)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=r"'w.bin' of initializer 'w'.*No such file"):
        import_onnx(saved(tmp_path, model_with("w.bin")))


def test_external_data_needs_a_folder() -> None:
    with pytest.raises(InvalidModelError, match="not read from a file"):
        import_onnx(model_with("w.bin"))
