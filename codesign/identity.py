"""What a result depends on, in one hash: model, passes, data, target, what was measured, the code.

Where a result is kept to be used again, it holds for this and nothing else.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import codesign
from codesign import spec
from codesign.compiler import Job, versions
from codesign.mapping.target import Target
from codesign.rewrite.context import Dataset
from codesign.rewrite.recipe import resolved

DIGITS = 32


def job_identity(job: Job) -> str:
    """Tells models, passes, data and versions of the code apart, not targets."""
    digest = hashlib.sha256(f"{job.program.graph}\n".encode())
    digest.update(json.dumps(resolved(job.passes, "", job.context.seed), default=str).encode())
    for data in (job.context.calibration, job.context.validation, job.context.training):
        _add_data(digest, data)
    digest.update(f"{versions()} {_sources()} {_files(job.passes)}".encode())
    return digest.hexdigest()[:DIGITS]


def target_identity(job: str, target: Target) -> str:
    """Tells targets apart too, by what they are: options, the machine's text, what was measured."""
    told = (
        spec.show(target.name, target),
        str(getattr(target, "text", "")),
        _measured(target.records),
        _measured(target.correction),
        _files([target]),
    )
    return hashlib.sha256(json.dumps([job, *told]).encode()).hexdigest()[:DIGITS]


def _add_data(digest: "hashlib._Hash", data: Dataset | None) -> None:
    """Add names, types, shapes and values of arrays to `digest`."""
    if data is None:
        digest.update(b"no data")
        return
    labels = {} if data.labels is None else {" labels": data.labels}
    for name, array in sorted({**data.inputs, **labels}.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())


def _measured(what: object) -> str:
    """What tuning records or a profile say, in words."""
    table = getattr(what, "json", None)
    said = table() if callable(table) else vars(what)
    return json.dumps(said, default=repr, sort_keys=True)


def _files(things: Iterable[object]) -> list[str]:
    """Hashes of the sources of the classes of `things`: other packages may bring them."""
    modules = {type(thing).__module__ for thing in things}
    paths = (getattr(sys.modules.get(name), "__file__", None) for name in sorted(modules))
    return [_hash(Path(path)) for path in paths if path and Path(path).is_file()]


@cache
def _sources() -> str:
    """A hash of all sources of this package, its machines too."""
    digest = hashlib.sha256()
    for folder, inside, names in os.walk(Path(codesign.__file__).parent, followlinks=True):
        inside.sort()
        for name in sorted(names):
            if name.endswith((".py", ".toml")):
                digest.update(f"{name} {_hash(Path(folder, name))}".encode())
    return digest.hexdigest()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
