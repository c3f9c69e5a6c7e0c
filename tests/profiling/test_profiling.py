"""Drawing layers, choosing what to measure, resuming, and the fit's own judgement of itself."""

import math
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from codesign.cli.profile import closing
from codesign.errors import UsageError
from codesign.ir.program import verify_program
from codesign.profile.process import Process
from codesign.profile.table import load_profile, profile_path
from codesign.profiling import run
from codesign.profiling.fitting import Measured, profile
from codesign.profiling.forget import forget
from codesign.profiling.known import recalled, remember
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


@cache
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
    again = [s for number in range(6) for s in samples(network(0, number)[0], TARGET)]
    assert [s.held_out for s in again] == [s.held_out for s in found[: len(again)]]


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
        kernel: [replace(p, seconds=p.seconds * (1.4 if p.sample.held_out else 1)) for p in many]
        for kernel, many in found.items()
    }
    row = next(row for row in profile(spoilt, TARGET, device()).quality if row["op"] == "all")
    assert row["error"] == pytest.approx(2 / 7, abs=0.1)


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
            remember(self.journal, sample, self.settings.seed)
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
        later.recall()
        assert later.recalled == 40
        assert later.drawn == 1 + max(s.network for s in chosen), "it goes on where that one ended"
        again = later.answer(10)
        assert not {(s.task.work, s.kernel) for s in again} & set(names)
        held = sum(s.held_out for s in chosen)
        assert 5 <= held <= 15


def test_taking_up_draws_and_builds_nothing_and_gives_the_same_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(seed=5)
    with Store(tmp_path / "t.db") as store:
        first = Here(TARGET, Journal(store, TARGET, device()), settings)
        first.answer(60)
        monkeypatch.setattr(run, "network", None)
        monkeypatch.setattr(run, "samples", None)
        later = Here(TARGET, Journal(store, TARGET, device()), settings)
        one = profile(first.points, TARGET, device())
        later.recall({name: fit.process.theta for name, fit in one.fits.items()})
        assert later.fits.keys() == one.fits.keys()
        monkeypatch.setattr(Process, "fit", None)
        assert profile(later.points, TARGET, device(), one).json() == one.json()


def test_failures_are_known_too_and_what_is_of_another_code_is_not(tmp_path: Path) -> None:
    first, second, *_ = drawn()
    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, device())
        for sample, outcome in ((first, Outcome("hung")), (second, Outcome("ok", (2.0, 3.0)))):
            remember(journal, sample, 0)
            journal.keep(sample.task, (sample.kernel, sample.point), outcome)
        later = Profiler(TARGET, journal, Settings())
        later.recall()
        assert later.recalled == 2 and [*later.points] == [second.kernel]
        ((point,),) = later.points.values()
        assert point.seconds == 2.5 and point.sample.label == second.label
        assert point.sample.model_ms == second.model_ms
        np.testing.assert_array_equal(point.sample.features, second.features)
        journal.versions[second.kernel] = "later"
        assert [p.seconds for p in recalled(journal)] == [math.inf]


def test_what_has_no_trial_or_is_not_understood_is_left_aside(tmp_path: Path) -> None:
    first, second, third, *_ = drawn()
    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, device())
        assert not list(recalled(journal)), "the table is not there yet"
        remember(journal, first, 0)
        for sample, told in ((second, "{"), (third, '{"kind": 0}')):
            choice = (sample.kernel, sample.point)
            journal.keep_sight(sample.task, choice, told)
            journal.keep(sample.task, choice, Outcome("ok", (1.0,)))
        assert not list(recalled(journal))


def test_a_database_without_what_fits_see_is_taken_up_by_drawing(tmp_path: Path) -> None:
    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, device())
        for sample in samples(network(0, 0)[0], TARGET):
            journal.keep(sample.task, (sample.kernel, sample.point), Outcome("ok", (1.0,)))
        total = store.counts().trials
        slow, quick = (Profiler(TARGET, journal, Settings()) for _ in range(2))
        slow.draw()
        assert slow.recalled == total and not slow.waiting
        quick.recall()
        assert quick.recalled == total and quick.drawn == 1


def test_fits_of_few_points_or_large_errors_are_not_used() -> None:
    found = points(drawn())
    random = np.random.default_rng(0)
    wild = [replace(p, seconds=p.seconds * math.exp(random.normal() * 2))
            for p in found["conv-direct"]]  # fmt: skip
    thin = found["conv-pointwise"][:5]
    good = "elementwise"
    mix = {"conv-direct": wild, "conv-pointwise": thin, good: found[good]}
    made = profile(mix, TARGET, device())
    assert made.fits.keys() == {good}
    assert {k.kernel: k.used for k in made.kernels} == {name: name == good for name in mix}
    told = "\n".join(closing(made, [*mix, "pool"]))
    assert f"use the fit of 1 kernels: {good}" in told
    assert "the model stays (12 are needed to fit): conv-pointwise " in told
    assert "off by more than 50%, the model stays: conv-direct " in told
    assert "not measured, the model stays: pool" in told
    empty = next(closing(profile({}, TARGET, device()), ["pool"]))
    assert empty.startswith("estimates use no fit yet")


def test_where_the_model_stays_its_own_error_is_told() -> None:
    found = points(drawn())
    thin = found["conv-pointwise"][:5]
    made = profile({"conv-pointwise": thin, "elementwise": found["elementwise"]}, TARGET, device())
    measured = thin[0].sample
    assert isinstance(measured, Sample)
    off = np.percentile([abs(p.departure) for p in thin], 68)
    group, cost = measured.task.group, measured.cost
    kept = made.corrected("conv-pointwise", group, measured.point, cost)
    assert kept == replace(cost, error=kept.error)
    assert kept.error == pytest.approx(math.exp(off) - 1)
    other = made.corrected("conv-direct", group, measured.point, cost)
    assert other.latency_ms == cost.latency_ms
    assert other.error == pytest.approx(made.model_errors["conv f32"]), "that of the same op"
    pool = next(s for s in drawn() if s.kernel == "pool")
    none = made.corrected("pool", pool.task.group, pool.point, pool.cost)
    assert none.error == pytest.approx(made.model_errors["all"])


def test_a_fit_that_is_less_sure_than_the_model_does_not_correct() -> None:
    found = [s for s in drawn() if s.kernel == "conv-direct"]
    random = np.random.default_rng(0)
    noisy = [Measured(s, s.model_ms * 1e-3 * math.exp(random.normal() * 0.1)) for s in found]
    made, probe = profile({"conv-direct": noisy}, TARGET, device()), found[0]
    near = made.corrected(probe.kernel, probe.task.group, probe.point, probe.cost)
    assert near.origin == "profile"
    far = replace(probe.cost, latency_ms=1e9)
    kept = made.corrected(probe.kernel, probe.task.group, probe.point, far)
    model = made.kernels[0].model_error
    assert model is not None and 0.05 < model < 0.2
    assert kept == replace(far, error=model)


def test_forgetting_drops_the_profile_and_its_points_and_nothing_else(tmp_path: Path) -> None:
    target, records = Cpu(), tmp_path / "t.db"
    chosen = list(samples(network(0, 0)[0], target))
    with Store(records) as store:
        tuned, bare = (Journal(store, target, device(), bare=b) for b in (False, True))
        elsewhere = Journal(store, target, {"cpu": "another"}, bare=True)
        for journal in (tuned, bare, elsewhere):
            for sample in chosen:
                choice = (sample.kernel, sample.point)
                journal.keep(sample.task, choice, Outcome("ok", (1.0,)))
                if journal is not tuned:
                    remember(journal, sample, 0)
        path = profile_path(tmp_path, target.spec, device())
        profile({}, target, device()).save(path)
        gone = forget(target, records)
        assert (gone.path, gone.there, gone.points) == (path, True, len(chosen))
        assert not path.exists() and not list(recalled(bare))
        assert store.counts().trials == 2 * len(chosen)
        assert len(list(recalled(elsewhere))) == len(chosen)
    assert forget(target, records).points == 0 and not forget(target, tmp_path / "no.db").there


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
        taken = [p.sample for found in profiler.points.values() for p in found]
        measured = [sample.task for sample in taken if isinstance(sample, Sample)]
        assert measured and all(bare.recall(task) for task in measured)
        assert not any(checked.recall(task) for task in measured), "nobody checked their results"
    found, again, path = make_profile(target, tmp_path / "t.db", settings, lambda *_: None)
    assert load_profile(path).json() == found.json()
    assert (again.measured, again.recalled) == (0, 2)


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
