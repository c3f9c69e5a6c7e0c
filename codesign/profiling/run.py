"""The adaptive sampler: measure where the fits know least, until the time is over."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from statistics import median

from codesign.errors import StoreError, UsageError
from codesign.mapping.target import Target
from codesign.profile.process import Process
from codesign.profile.table import Profile, load_profile, profile_path
from codesign.profiling.fitting import Measured, fitted, profile
from codesign.profiling.networks import network
from codesign.profiling.samples import Sample, samples
from codesign.runtime.host import device
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool, Worker
from codesign.tune.remote import Tracker
from codesign.tune.store import Store
from codesign.tune.timing import Limits
from codesign.tune.work import parcel

WAITING = 80  # samples to choose from
JUDGED = 0.25  # the share of measurements that judge the fits
AT_RANDOM = 0.3  # of the others, the share that is not chosen by doubt
FIRST = 4  # points of a kernel before doubt counts

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Settings:
    """How long to measure in this run, at most how much, which networks to draw, and where."""

    seconds: float = 480.0
    points: float = inf
    seed: int = 0
    tracker: Tracker | None = None
    limits: Limits = field(default_factory=lambda: Limits(0.05, 5, 200))


class Profiler:
    """One run. What was measured before counts as if it had been measured now."""

    def __init__(self, target: Target, journal: Journal, settings: Settings) -> None:
        self.target, self.journal, self.settings = target, journal, settings
        self.random = random.Random(settings.seed)
        self.points: dict[str, list[Measured]] = {}
        self.fits: dict[str, Process] = {}
        self.waiting: list[Sample] = []
        self.known: set[tuple[str, str]] = set()
        self.drawn = self.failures = self.recalled = self.measured = 0

    def run(self, report: Report) -> None:
        """Measure until the time is over or Ctrl-C."""
        begun = time.monotonic()
        with Pool(
            self.target.spec, self.target.threads, most=1, tracker=self.settings.tracker
        ) as pool:
            try:
                while self.measured < self.settings.points:
                    spent = time.monotonic() - begun
                    if spent > self.settings.seconds:
                        break
                    text = f"{self.recalled + self.measured} points, {len(self.points)} kernels"
                    report(text, spent / self.settings.seconds)
                    self._step(pool)
            except KeyboardInterrupt:
                report("interrupted", 1.0)

    def _step(self, pool: Pool) -> None:
        if len(self.waiting) < WAITING:
            self.draw()
        if self.waiting:
            for worker in pool.idle:
                self._measure(pool, worker, self.choose())
        pool.poll(0.001 if len(self.waiting) < WAITING else 0.2)

    def draw(self) -> None:
        """Add the samples of the next network to those waiting, or to the points if known."""
        program, _ = network(self.settings.seed, self.drawn)
        self.drawn += 1
        for sample in samples(program, self.target):
            name = (sample.task.work, sample.kernel)
            if name in self.known:
                continue
            self.known.add(name)
            seconds = self.journal.recall(sample.task).get((sample.kernel, sample.point))
            if seconds is None:
                self.waiting.append(sample)
            elif isfinite(seconds):
                self.recalled += 1
                self._note(sample, seconds)

    def choose(self) -> Sample:
        """Take the sample to measure next from those waiting."""
        judged = sum(p.sample.held_out for found in self.points.values() for p in found)
        total = sum(len(found) for found in self.points.values())
        held = [s for s in self.waiting if s.held_out]
        free = [s for s in self.waiting if not s.held_out]
        wanted = held if judged < JUDGED * total else free
        pool = wanted or self.waiting
        if pool is held or self.random.random() < AT_RANDOM:
            kernel = self.random.choice(sorted({s.kernel for s in pool}))
            found = self.random.choice([s for s in pool if s.kernel == kernel])
        else:
            found = max(pool, key=self._doubt)
        self.waiting.remove(found)
        return found

    def _doubt(self, sample: Sample) -> float:
        fit = self.fits.get(sample.kernel)
        count = len(self.points.get(sample.kernel, ()))
        return inf if fit is None and count < FIRST else fit.doubt(sample.features) if fit else 0.0

    def _measure(self, pool: Pool, worker: Worker, sample: Sample) -> None:
        choice = (sample.kernel, sample.point)

        def reply(outcome: Outcome) -> None:
            if outcome.status == "lost":
                self.waiting.append(sample)
                return
            self.journal.keep(sample.task, choice, outcome)
            self.measured += 1
            if outcome.status == "ok":
                self._note(sample, median(outcome.seconds))
            else:
                self.failures += 1

        message = ("trial", sample.task.work, *choice, None, self.settings.limits)
        pool.give(worker, parcel(sample.task, self.settings.seed), message, reply)

    def _note(self, sample: Sample, seconds: float) -> None:
        """Keep a point, and fit its kernel again once enough has come."""
        found = self.points.setdefault(sample.kernel, [])
        found.append(Measured(sample, seconds))
        seen = [p for p in found if not p.sample.held_out]
        if not sample.held_out and len(seen) % max(2, len(seen) // 6) == 0:
            process = fitted(seen)
            if process is not None:
                self.fits[sample.kernel] = process


def make_profile(
    target: Target, records: Path, settings: Settings, report: Report
) -> tuple[Profile, Profiler, Path]:
    """Measure this device for `target` and store the profile beside the database `records`.

    A run too short to take up all that an earlier one measured leaves the earlier profile.
    UsageError where the target cannot run here.
    """
    remote = settings.tracker
    if remote is None and not target.runs_here():
        raise UsageError(
            f"target {target.spec} cannot be measured on this machine, so there is nothing to "
            "profile; run this where the target runs, or on devices of an RPC tracker"
        )
    place = device(remote.key if remote else None)
    with Store(records) as store:
        profiler = Profiler(target, Journal(store, target, place), settings)
        profiler.run(report)
    found = profile(profiler.points, target, place)
    path = profile_path(records.parent, target.spec, place)
    before = _stored(path, target)
    if before is not None and before.points > found.points:
        found = before
    found.save(path)
    return found, profiler, path


def _stored(path: Path, target: Target) -> Profile | None:
    """The profile in `path` as far as it holds for the kernels of today, None if there is none."""
    try:
        return load_profile(path).current(target) if path.exists() else None
    except StoreError:
        return None
