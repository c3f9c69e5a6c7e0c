"""Damaged ONNX files: the importer gives a graph or one of our errors, soon, in little memory.

`CODESIGN_FUZZ=40000` runs as many mutations instead of two thousand, `CODESIGN_FUZZ_SEED=7` others;
the file of a failure stays in `CODESIGN_FUZZ_KEEP`, if that is set.
"""

import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from onnx import ModelProto

from codesign.errors import CodesignError
from codesign.frontends.onnx import import_onnx
from tests.frontends import onnx_models
from tests.fuzz import onnx_seeds
from tests.fuzz.onnx_mutations import mutate_bytes, mutate_fields

COUNT = int(os.environ.get("CODESIGN_FUZZ", "2000"))
SEED = int(os.environ.get("CODESIGN_FUZZ_SEED", "0"))
# Far above what any of these small models needs: what takes longer hangs. Processor time, which
# other work on the machine does not stretch, and for what waits without computing, time itself.
SECONDS = 20
WAIT = 300
MEMORY = 4 << 30


class Hang(BaseException):
    """Not an Exception, so that no handler in the importer takes it."""


@contextmanager
def deadline() -> Iterator[None]:
    """Raise Hang in this thread after SECONDS of processor time or WAIT seconds."""

    def expired(number: int, frame: object) -> None:
        raise Hang

    before = [
        (number, signal.signal(number, expired)) for number in (signal.SIGPROF, signal.SIGALRM)
    ]
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


def seeds() -> list[ModelProto]:
    """Valid models to start from."""
    return [*onnx_models.cases().values(), *onnx_seeds.models()]


def outcome(path: Path) -> str:
    """What importing `path` gives; anything but a graph or a CodesignError is raised."""
    with deadline():
        try:
            import_onnx(path)
        except CodesignError as error:
            return type(error).__name__ if str(error).strip() else "silent"
    return "graph"


@pytest.mark.parametrize("way", ["bytes", "fields"])
def test_damaged_files_give_a_graph_or_an_error(tmp_path: Path, way: str) -> None:
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    models, found = seeds(), Counter[str]()
    folder = Path(os.environ.get("CODESIGN_FUZZ_KEEP", str(tmp_path)))
    for number in range(COUNT // 2):
        random = Random(f"{way} {SEED} {number}")
        model = random.choice(models)
        if way == "bytes":
            content = mutate_bytes(model.SerializeToString(), random)
        else:
            content = mutate_fields(model, random).SerializeToString()
        path = folder / f"{way}_{SEED}_{number}.onnx"
        path.write_bytes(content)
        found[outcome(path)] += 1
        path.unlink()  # what raises something else leaves its file and ends the test
    assert found["InvalidModelError"] and not found["silent"]
    assert sum(found.values()) == COUNT // 2
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started) * 1024
    assert grown < MEMORY, f"memory grew by {grown >> 20} MiB"


def test_the_seeds_themselves_import(tmp_path: Path) -> None:
    for number, model in enumerate(seeds()):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(model.SerializeToString())
        assert outcome(path) == "graph"
