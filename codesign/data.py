"""Calibration, validation and input data from .npz files."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from codesign.errors import DataError, UnknownNameError
from codesign.ir.graph import Graph
from codesign.rewrite.context import Dataset
from codesign.runtime.execute import cast
from codesign.runtime.plan import Port

LABELS = "labels"
NPY, ZIP = b"\x93NUMPY", b"PK\x03\x04"
Source = str | Path | np.ndarray | Mapping[str, np.ndarray] | Dataset
Signature = Mapping[str, tuple[tuple[int, ...], np.dtype]]


def signature_of(inputs: Graph | Sequence[Port]) -> Signature:
    """Shape and element type of each input, by name."""
    if isinstance(inputs, Graph):
        kinds = {name: inputs.types[name] for name in inputs.inputs}
        return {name: (kind.shape, kind.dtype.numpy) for name, kind in kinds.items()}
    return {port.name: (port.shape, np.dtype(port.dtype)) for port in inputs}


def load_dataset(source: Source, inputs: Graph | Sequence[Port], what: str = "data") -> Dataset:
    """The samples in `source` for `inputs`: an array [samples, ...] for each, and `labels`.

    One array alone is the samples of a model with one input. DataError, naming the file, if it is
    no .npz of arrays, or if names, shapes, element types or numbers of samples do not match.
    """
    signature = signature_of(inputs)
    where = f"{what} {source}" if isinstance(source, str | Path) else what
    if isinstance(source, Dataset):
        return check_dataset(source, signature, where)
    if isinstance(source, str | Path):
        arrays = read_npz(Path(source), what)
    else:
        arrays = by_name(source, list(signature), what)
    labels = arrays.pop(LABELS, None) if LABELS not in signature else None
    return check_dataset(Dataset(arrays, labels), signature, where)


def by_name(source: object, names: Sequence[str], what: str) -> dict[str, np.ndarray]:
    """Arrays by input name from a mapping, or from one array if there is one input."""
    if isinstance(source, Mapping):
        return dict(source)
    listed = ", ".join(names)
    if not hasattr(source, "__array__"):
        kind = type(source).__name__
        raise DataError(f"{what} is a {kind}; expected an .npz file or arrays by name: {listed}")
    if len(names) != 1:
        raise DataError(f"{what} is one array, the model's inputs are {listed}; give them by name")
    return {names[0]: np.asarray(source)}


def read_npz(path: Path, what: str = "data") -> dict[str, np.ndarray]:
    """The arrays in the .npz file `path`, by name; DataError if it is none."""
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is not there"
        raise DataError(f"{what} {path} {problem}; give an .npz file of arrays")
    refused = f"{what} {path} is no .npz file of arrays"
    if not zipfile.is_zipfile(path):
        if _begins(path, ZIP):
            raise DataError(f"{refused}: it is truncated or damaged; write or copy it again")
        what_else = "a single array (.npy)" if _begins(path, NPY) else "something else"
        raise DataError(
            f"{refused} but {what_else}; write one with numpy.savez(file, NAME=array), NAME being "
            "that of the model's input"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except ValueError:
        raise DataError(f"{refused}: it holds Python objects, which are not loaded") from None
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{refused}: {error}") from None


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def check_dataset(dataset: Dataset, signature: Signature, where: str) -> Dataset:
    """`dataset` in the element types of `signature`, or DataError that starts with `where`."""
    for name in dataset.inputs:
        if name not in signature:
            raise DataError(f"{where}: {UnknownNameError('input', name, signature)}")
    for name in signature:
        if name not in dataset.inputs:
            have = ", ".join(dataset.inputs) or "none"
            raise DataError(f"{where}: input {name!r} is missing; there are arrays {have}")
    inputs = {
        name: _checked(np.asarray(dataset.inputs[name]), name, *signature[name], where)
        for name in signature
    }
    counts = {name: len(array) for name, array in inputs.items()}
    if len(set(counts.values())) > 1:
        raise DataError(f"{where}: inputs differ in their numbers of samples: {counts}")
    return Dataset(inputs, _labels(dataset.labels, next(iter(counts.values()), 0), where))


def _checked(
    array: np.ndarray, name: str, shape: tuple[int, ...], dtype: np.dtype, where: str
) -> np.ndarray:
    if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
        raise DataError(f"{where}: array {name!r} is {array.dtype}, the model's input is {dtype}")
    if 0 in shape[:1]:
        raise DataError(
            f"{where}: the model takes no sample at a time, its input {name!r} is {list(shape)}; "
            "give it inputs of at least one sample"
        )
    if array.ndim != len(shape) or array.shape[1:] != shape[1:] or len(array) < shape[0]:
        raise DataError(
            f"{where}: array {name!r} has shape {list(array.shape)}, the model's input "
            f"{list(shape)}; expected [samples, ...] with at least {shape[0] if shape else 1}"
        )
    converted = cast(array, dtype)
    if dtype.kind == "f" and not np.isfinite(converted).all():
        what = f"too large for {dtype}" if np.isfinite(array).all() else "that are not finite"
        raise DataError(f"{where}: array {name!r} holds values {what}")
    return converted


def _labels(labels: np.ndarray | None, samples: int, where: str) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (samples,):
        raise DataError(
            f"{where}: labels are {labels.dtype}{list(labels.shape)}, expected one integer for "
            f"each of the {samples} samples"
        )
    if samples and labels.min() < 0:
        raise DataError(f"{where}: a label is {labels.min()}, expected classes from 0 on")
    return labels
