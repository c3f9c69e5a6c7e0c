"""Drawing layers, choosing what to measure, resuming, and the fit's own judgement of itself."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.errors import UsageError
from codesign.ir.program import verify_program
from codesign.profile.table import load_profile, profile_path
from codesign.profiling.fitting import Measured, profile
from codesign.profiling.networks import network
from codesign.profiling.run import Profiler, Settings, make_profile
from codesign.profiling.samples import Sample, samples
from codesign.runtime.host import device
from codesign.targets.tvm.target import Cpu
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome
from codesign.tune.store import Store
from codesign.tune.timing import Limits

TARGET = Cpu("avx2")
DRAWN = range(40)


def drawn() -> list[Sample]:
    return [s for number in DRAWN for s in samples(network(0, number)[0], TARGET)]


def test_networks_are_valid_the_same_each_time_and_of_all_forms() -> None:
    for number in range(12):
        program, form = network(3, number)
        verify_program(program)
        again, same = network(3, number)
        assert (again, same) == (program, form)
    forms = Counter(network(0, number)[1].partition("{")[0] for number in DRAWN)
    assert set(forms) == {"", "quantize-int8", "prune-magnitude", "factorize-svd"}


def test_samples_cover_kernels_and_hold_some_tasks_out() -> None:
    found = drawn()
    kernels = {s.kernel for s in found}
    assert {"conv-direct", "conv-pointwise", "sparse", "matmul", "elementwise"} <= kernels
    assert any("int8" in name for name in kernels)
    labels = {s.label for s in found}
    assert {"conv f32", "conv int8"} <= labels and any("csr" in x or "nm" in x for x in labels)
    share = sum(s.held_out for s in found) / len(found)
    assert 0.05 < share < 0.4
    assert [s.held_out for s in drawn()] == [s.held_out for s in found]


def law(sample: Sample) -> float:
    """A device that is 1.5 times slower than the model, and more so the deeper the reduction."""
    return sample.cost.latency_ms * 1e-3 * 1.5 * math.exp(0.1 * sample.features[4])


def points(found: list[Sample]) -> dict[str, list[Measured]]:
    by_kernel: dict[str, list[Measured]] = {}
    for sample in found:
        by_kernel.setdefault(sample.kernel, []).append(Measured(sample, law(sample)))
    return by_kernel


def test_a_device_with_a_law_is_found_and_the_held_out_error_says_so() -> None:
    found = drawn()
    made = profile(points(found), TARGET, device())
    row = next(row for row in made.quality if row["op"] == "all")
    assert row["points"] == len(found) and row["held_out"] == sum(s.held_out for s in found)
    assert row["model_error"] > 0.3 and row["error"] < 0.1
    assert "conv-direct" in made.fits
    probe = next(s for s in found if s.kernel == "conv-direct")
    after = made.corrected(probe.kernel, probe.task.group, probe.point, probe.cost)
    assert after.latency_ms == pytest.approx(law(probe) * 1e3, rel=0.1)


def test_the_judged_error_is_that_of_a_fit_that_has_not_seen_the_point() -> None:
    """Held-out points that follow another law spoil the error, not the fit before it is stored."""
    found = points(drawn())
    spoilt = {
        kernel: [replace(p, seconds=p.seconds * (3 if p.sample.held_out else 1)) for p in many]
        for kernel, many in found.items()
    }
    row = next(row for row in profile(spoilt, TARGET, device()).quality if row["op"] == "all")
    assert row["error"] == pytest.approx(2 / 3, abs=0.1)


class Here(Profiler):
    """A profiler whose device follows the law, without workers."""

    def answer(self, count: int) -> list[Sample]:
        chosen: list[Sample] = []
        while len(chosen) < count:
            while len(self.waiting) < 30:
                self.draw()
            sample = self.choose()
            chosen.append(sample)
            outcome = Outcome("ok", (law(sample),))
            self.journal.keep(sample.task, (sample.kernel, sample.point), outcome)
            self._note(sample, law(sample))
        return chosen


def test_a_later_run_takes_up_what_was_measured(tmp_path: Path) -> None:
    settings = Settings(seed=5)
    with Store(tmp_path / "t.db") as store:
        first = Here(TARGET, Journal(store, TARGET, device()), settings)
        chosen = first.answer(40)
        names = [(s.task.work, s.kernel) for s in chosen]
        assert len(set(names)) == 40, "nothing is measured twice"
        later = Here(TARGET, Journal(store, TARGET, device()), settings)
        while later.drawn < first.drawn:
            later.draw()
        assert later.recalled == 40
        assert not {(s.task.work, s.kernel) for s in later.waiting} & set(names)
        held = sum(s.held_out for s in chosen)
        assert 5 <= held <= 15


def test_measuring_this_device(tmp_path: Path) -> None:
    settings = Settings(0.0, points=2, limits=Limits(0.001, 2, 3))
    target = Cpu()
    with Store(tmp_path / "t.db") as store:
        profiler = Profiler(
            target, Journal(store, target, device(), bare=True), replace(settings, seconds=300.0)
        )
        profiler.run(lambda text, done: None)
        assert profiler.measured == 2
        assert store.counts().trials == profiler.measured
        checked, bare = (Journal(store, target, device(), bare=b) for b in (False, True))
        measured = [p.sample.task for found in profiler.points.values() for p in found]
        assert measured and all(bare.recall(task) for task in measured)
        assert not any(checked.recall(task) for task in measured), "nobody checked their results"
    found, again, path = make_profile(target, tmp_path / "t.db", settings, lambda *_: None)
    assert load_profile(path).json() == found.json()
    assert again.measured == 0


def test_a_short_run_leaves_the_profile_that_knows_more(tmp_path: Path) -> None:
    target, records = Cpu(), tmp_path / "t.db"
    found = [s for number in range(12) for s in samples(network(0, number)[0], target)]
    better = profile(points(found), target, device())
    assert better.points > 6
    path = profile_path(tmp_path, target.spec, device())
    better.save(path)
    kept, run, where = make_profile(target, records, Settings(0.0, points=0), lambda *_: None)
    assert (where, run.measured, kept.json()) == (path, 0, better.json())
    path.write_text("damaged")
    assert make_profile(target, records, Settings(0.0, points=0), lambda *_: None)[0].points == 0


def test_a_target_that_cannot_run_here_is_refused(tmp_path: Path) -> None:
    other = Cpu("arm" if "aarch64" not in device()["architecture"] else "avx2")
    with pytest.raises(UsageError, match="cannot be measured on this machine"):
        make_profile(other, tmp_path / "t.db", Settings(), lambda *_: None)
    assert np.all([not path.name.endswith(".json") for path in tmp_path.rglob("*")])
