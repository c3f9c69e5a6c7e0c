"""What is checked in a `.pt2` file before torch reads it: damage, and code that would be run.

torch.export.load falls back to unrestricted pickle, loads compiled libraries and evaluates the
expressions of symbolic shapes as Python. A traced program needs none of these beyond plain
arithmetic, so files that have them are refused.
"""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from codesign.errors import InvalidModelError, UnsupportedModelError

ADVICE = "write one with torch.export.save(torch.export.export(module, inputs), path)"
_PROGRAMS = ("models/model.json", "serialized_exported_program.json")
_UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError)
# Symbols such as s27 and u0, and the words that sympy and torch write around them.
_SYMBOL = re.compile(r"[a-z]{1,4}\d+\Z")
_WORDS = frozenset(
    """
    Abs Add And CeilDiv CleanDiv Eq Equality False Float FloorDiv Ge GreaterThan Gt IntTrueDiv
    Integer Le LessThan Lt Max Min Mod ModularIndexing Mul Ne Not Or Piecewise Pow PythonMod
    Rational StrictGreaterThan StrictLessThan Symbol True TruncToInt Unequality Where evaluate
    finite int_oo integer negative nonnegative nonzero oo positive real zero
    """.split()  # noqa: SIM905
)


def check_archive(file: Path) -> None:
    """Raise InvalidModelError unless `file` is an undamaged archive of a traced program.

    UnsupportedModelError if reading it would run code that it carries.
    """
    if not zipfile.is_zipfile(file):
        size = file.stat().st_size
        raise InvalidModelError(
            f"{file} is not a .pt2 file, or is truncated ({size} bytes); {ADVICE}"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
            if broken is not None:
                raise InvalidModelError(
                    f"{file} is damaged: its part {broken} does not match its checksum"
                )
            _check_members(file, archive)
    except _UNREADABLE as error:
        raise InvalidModelError(f"{file} is damaged: {error}") from error


def _check_members(file: Path, archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if not any(name.endswith(_PROGRAMS) for name in names):
        raise InvalidModelError(
            f"{file} is an archive without a traced program: truncated, or a checkpoint; {ADVICE}"
        )
    for name in names:
        if "aotinductor" in name or name.endswith(("state_dict.json", "serialized_constants.json")):
            raise _carries_code(file, name)
        if name.endswith(".pt"):
            _check_pickle(file, name, archive.read(name))
        elif name.endswith("_config.json"):
            _check_payloads(file, archive, name)
        elif name.endswith(_PROGRAMS):
            _check_expressions(file, json.loads(archive.read(name)))


def _carries_code(file: Path, part: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{file} carries code that would be run when it is read ({part}); export the module again "
        "with plain tensors as weights and example inputs"
    )


def _check_pickle(file: Path, name: str, content: bytes) -> None:
    """Raise unless `content` is empty or holds tensors and plain containers only."""
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise _carries_code(file, name) from error


def _check_payloads(file: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Raise if a weight or constant is a pickled object of other kinds than tensors."""
    config = json.loads(archive.read(name)).get("config", {})
    folder = name.rsplit("/", 1)[0]
    for entry in config.values():
        path = str(entry.get("path_name", ""))
        if path.startswith(("custom_obj", "opaque_obj")):
            raise _carries_code(file, path)
        if entry.get("use_pickle"):
            _check_pickle(file, path, archive.read(f"{folder}/{path}"))
    _check_expressions(file, config)


def _check_expressions(file: Path, program: Any) -> None:
    for text in _expressions(program):
        plain = re.sub(r"'([a-z]{1,4}\d+)'", r"\1", text)
        words = re.findall(r"[A-Za-z_]\w*", plain)
        strange = [word for word in words if word not in _WORDS and not _SYMBOL.match(word)]
        if strange or not re.fullmatch(r"[\w\s+\-*/%(),.<>=!&|~]*", plain):
            raise _carries_code(file, f"the shape expression {text[:60]!r}")


def _expressions(tree: Any) -> Iterator[str]:
    """Every symbolic expression in a serialized program."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if isinstance(value, str) and "expr" in key:
                yield value
            else:
                yield from _expressions(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _expressions(value)
