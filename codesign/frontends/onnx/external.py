"""External tensor data, confined to the folder of the model."""

import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from codesign.errors import InvalidModelError


def read_external(tensor: onnx.TensorProto, folder: Path | None, size: int) -> bytes:
    """The `size` bytes of `tensor` from its file inside `folder`; InvalidModelError otherwise.

    Absolute paths, `..`, links anywhere on the way and files that are not plain are refused.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise _refuse(tensor, location, "the model was not read from a file; load it by its path")
    path = _confined(tensor, location, folder)
    offset = _number(tensor, entries, "offset", 0)
    length = _number(tensor, entries, "length", size)
    if length != size:
        raise _refuse(tensor, location, f"length is {length}, its shape needs {size} bytes")
    return _read(tensor, location, path, offset, size)


def _confined(tensor: onnx.TensorProto, location: str, folder: Path) -> Path:
    """`location` inside `folder`, no part of which is a link."""
    parts = PurePosixPath(location).parts
    windows = PureWindowsPath(location)
    outside = windows.is_absolute() or windows.drive or location.startswith("/")
    if not parts or "\0" in location or outside or ".." in windows.parts or ".." in parts:
        raise _refuse(tensor, location, "it must be a relative path inside the model's folder")
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise _refuse(tensor, location, f"{part!r} is a link; copy the file beside the model")
    return path


def _number(tensor: onnx.TensorProto, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _refuse(tensor, entries.get("location", ""), f"{key} {text[:40]!r} is no byte count")
    return int(text)


def _read(tensor: onnx.TensorProto, location: str, path: Path, offset: int, size: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except OSError as error:
        raise _refuse(tensor, location, f"cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise _refuse(tensor, location, "is not a plain file")
        if offset + size > facts.st_size:
            raise _refuse(
                tensor,
                location,
                f"holds {facts.st_size} bytes, but offset {offset} + {size} bytes are asked for",
            )
        file.seek(offset)
        return file.read(size)


def _refuse(tensor: onnx.TensorProto, location: str, why: str) -> InvalidModelError:
    return InvalidModelError(
        f"external data {location!r} of initializer {tensor.name!r} cannot be used: {why}"
    )
