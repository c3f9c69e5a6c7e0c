"""What is kept holds for the model, the data, the code and the target that it was made with."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign import identity, plugins
from codesign.compiler import Job, prepare
from codesign.identity import job_identity, target_identity
from codesign.ir.program import Program
from codesign.mapping.records import Known
from codesign.rewrite.context import Dataset
from tests.small import small_graph, small_input

EYERISS = Path("targets/spatial/machines/eyeriss.toml")


def job(**options: object) -> Job:
    return prepare(Program(small_graph()), "eyeriss", records="none", **options)  # type: ignore[arg-type]


def test_a_job_is_told_by_what_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = job()
    found = job_identity(plain)
    assert job_identity(job()) == found
    sample = small_input(2)
    data = Dataset({"x": sample})
    context = plain.context
    changed = np.array(sample)
    changed[0, 0] += 1
    others = [
        job(seed=3),
        job(passes="place"),
        replace(plain, context=replace(context, calibration=data)),
        replace(plain, context=replace(context, validation=data)),
        replace(plain, context=replace(context, training=data)),
        replace(plain, context=replace(context, calibration=Dataset({"x": changed}))),
        replace(plain, context=replace(context, calibration=Dataset({"x": sample[::-1]}))),
        replace(plain, context=replace(context, calibration=Dataset({"x": sample}, np.arange(2)))),
    ]
    assert len({found, *map(job_identity, others)}) == len(others) + 1
    assert job_identity(replace(plain, target=plugins.make("target", "cpu"))) == found
    monkeypatch.setattr(identity, "versions", lambda: {"codesign": "9"})
    newer = job_identity(plain)
    monkeypatch.setattr(identity, "_sources", lambda: "other sources")
    assert len({found, newer, job_identity(plain)}) == 3


class Measured:
    """Records of one schedule."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        self._known = known

    def best(self, work: str) -> Known | None:
        return self._known.get(work)


def test_a_target_is_told_by_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(EYERISS.read_text())
    found = [target_identity("job", plugins.make("target", str(path)))]
    assert target_identity("job", plugins.make("target", str(path))) == found[0]
    found.append(target_identity("another job", plugins.make("target", str(path))))
    path.write_text(EYERISS.read_text().replace("200 MHz", "100 MHz"))
    target = plugins.make("target", str(path))
    found.append(target_identity("job", target))
    found.append(target_identity("job", replace(target, objective="latency")))
    cpu = plugins.make("target", "cpu{isa=generic}")
    for milliseconds in (1.0, 2.0):
        known = {"work": Known("direct", (), milliseconds)}
        found.append(target_identity("job", cpu.informed(Measured(known))))
    found += [target_identity("job", cpu), target_identity("job", replace(cpu, threads=2))]
    assert len(set(found)) == len(found)


def test_sources_are_those_of_passes_targets_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def notes(path: Path) -> str:
        read.append(str(path))
        return ""

    monkeypatch.setattr(identity, "_hash", notes)
    identity._sources.__wrapped__()
    for name in ("cost/evaluate.py", "passes/place/place.py", "spatial/machines/eyeriss.toml"):
        assert any(path.endswith(name) for path in read)
