"""Calibration, validation and input data from .npz files."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from codesign.errors import DataError, UnknownNameError
from codesign.ir.graph import Graph
from codesign.rewrite.context import Dataset

LABELS = "labels"
Source = str | Path | Mapping[str, np.ndarray] | Dataset


def load_dataset(source: Source, graph: Graph, what: str = "data") -> Dataset:
    """The samples in `source` for the inputs of `graph`: float arrays [samples, ...] and `labels`.

    DataError, naming the file, if it is no .npz of arrays, or if names, shapes, element types or
    numbers of samples do not match.
    """
    if isinstance(source, Dataset):
        dataset, where = source, what
    else:
        where = f"{what} {source}" if isinstance(source, str | Path) else what
        arrays = read_npz(Path(source), what) if isinstance(source, str | Path) else dict(source)
        labels = arrays.pop(LABELS, None) if LABELS not in graph.inputs else None
        dataset = Dataset(arrays, labels)
    return check_dataset(dataset, graph, where)


def read_npz(path: Path, what: str = "data") -> dict[str, np.ndarray]:
    """The arrays in the .npz file `path`, by name; DataError if it is none."""
    if not path.is_file():
        raise DataError(f"{what} {path} is not there; give an .npz file of arrays")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                raise DataError(f"{what} {path} is a single array; save it with numpy.savez(x=...)")
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{what} {path} is no .npz file of arrays: {error}") from None


def check_dataset(dataset: Dataset, graph: Graph, where: str) -> Dataset:
    """`dataset` in the element types of `graph`, or DataError that starts with `where`."""
    for name in dataset.inputs:
        if name not in graph.inputs:
            raise DataError(f"{where}: {UnknownNameError('input', name, graph.inputs)}")
    for name in graph.inputs:
        if name not in dataset.inputs:
            have = ", ".join(dataset.inputs) or "none"
            raise DataError(f"{where}: input {name!r} is missing; there are arrays {have}")
    inputs = {name: _checked(dataset.inputs[name], graph, name, where) for name in graph.inputs}
    checked = Dataset(inputs, _labels(dataset, graph, where))
    try:
        checked.check(graph)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return checked


def _checked(array: np.ndarray, graph: Graph, name: str, where: str) -> np.ndarray:
    want = graph.types[name].dtype.numpy
    if array.dtype != want and not np.can_cast(array.dtype, want, "same_kind"):
        raise DataError(f"{where}: array {name!r} is {array.dtype}, the model's input is {want}")
    if array.ndim == 0:
        raise DataError(f"{where}: array {name!r} is a single number, not [samples, ...]")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{where}: array {name!r} holds values that are not finite")
    return array.astype(want, copy=False)


def _labels(dataset: Dataset, graph: Graph, where: str) -> np.ndarray | None:
    if dataset.labels is None:
        return None
    labels = np.asarray(dataset.labels)
    samples = len(dataset.inputs[graph.inputs[0]])
    if labels.dtype.kind not in "iu" or labels.shape != (samples,):
        raise DataError(
            f"{where}: labels are {labels.dtype}{list(labels.shape)}, expected one integer for "
            f"each of the {samples} samples"
        )
    return labels
