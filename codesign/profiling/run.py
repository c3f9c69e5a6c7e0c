"""The adaptive sampler: measure where the fits know least, until the time is over."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, sqrt
from pathlib import Path
from statistics import median

import numpy as np

from codesign.errors import StoreError, UsageError
from codesign.mapping.target import Target
from codesign.profile.process import Array, Process
from codesign.profile.table import Profile, load_profile, profile_path
from codesign.profiling.fitting import Measured, fitted, profile, with_theta
from codesign.profiling.known import recalled, remember
from codesign.profiling.networks import network
from codesign.profiling.rounds import Round
from codesign.profiling.samples import Sample, Seen, samples
from codesign.progress import Progress, silent
from codesign.runtime.host import device
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome
from codesign.tune.pool import Pool, Worker
from codesign.tune.remote import Tracker, check
from codesign.tune.store import Store
from codesign.tune.timing import Limits
from codesign.tune.work import parcel

WAITING = 160  # samples to choose from
BATCH = 8  # of a worker in a round
JUDGED = 0.25  # the share of measurements that judge the fits
AT_RANDOM = 0.3  # of the others, the share that is not chosen by doubt
FIRST = 12  # points of a kernel before its errors count
GLANCE = 5  # samples of which the one with most doubt is taken


@dataclass(frozen=True)
class Settings:
    """How long to measure in this run, at most how much, which networks to draw, and where."""

    seconds: float = 480.0
    points: float = inf
    seed: int = 0
    tracker: Tracker | None = None
    limits: Limits = field(default_factory=lambda: Limits(0.015, 3, 60))


class Profiler:
    """One run. What was measured before counts as if it had been measured now.

    `recalled`, `measured` and `failures` count points: known before, measured now, failed now.
    """

    def __init__(self, target: Target, journal: Journal, settings: Settings) -> None:
        self.target, self.journal, self.settings = target, journal, settings
        self.random = random.Random(settings.seed)
        self.points: dict[str, list[Measured]] = {}
        self.fits: dict[str, Process] = {}
        self.waiting: list[Sample] = []
        self.known: set[tuple[str, str]] = set()  # tasks (keys) and kernels
        self.report: Progress = silent
        self.begun = time.monotonic()
        self.drawn = self.failures = self.recalled = self.measured = 0

    def run(self, report: Progress) -> None:
        """Measure until the time is over or Ctrl-C, which goes on where nothing is known yet."""
        self.begun, self.report = time.monotonic(), report
        with Pool(self.target.spec, self.target.threads, tracker=self.settings.tracker) as pool:
            try:
                while self.measured < self.settings.points:
                    if self._over:
                        break
                    self._tell()
                    self._step(pool)
            except KeyboardInterrupt:
                if not self.points:
                    raise
                report("interrupted", 1.0)

    def recall(self, thetas: Mapping[str, Array] | None = None) -> None:
        """Take up what earlier runs measured, and go on with networks that they did not draw.

        `thetas` are hyperparameters of kernels whose fits are known; others are found later.
        """
        for point in recalled(self.journal):
            self.known.add((point.task, point.kernel))
            if point.known.seed == self.settings.seed:
                self.drawn = max(self.drawn, point.known.network + 1)
            self._known_before(point.kernel, point.known, point.seconds)
        for kernel, theta in (thetas or {}).items():
            process = with_theta(self._fitted_to(kernel), theta)
            if process is not None:
                self.fits[kernel] = process

    def _known_before(self, kernel: str, sample: Seen, seconds: float) -> None:
        self.recalled += 1
        if isfinite(seconds):
            self.points.setdefault(kernel, []).append(Measured(sample, seconds))

    @property
    def _over(self) -> bool:
        return time.monotonic() - self.begun > self.settings.seconds

    def _tell(self) -> None:
        """Report how far the run is."""
        text = f"{self.measured} points measured, {self.recalled} known before"
        spent = time.monotonic() - self.begun
        share = spent / self.settings.seconds if self.settings.seconds else 1.0
        self.report(f"{text}, {len(self.points)} kernels", min(share, 1.0))

    def _step(self, pool: Pool) -> None:
        if self.settings.tracker is None:
            self._round(pool)
            return
        self._prepare()
        if self.waiting:
            for worker in pool.idle:
                self._measure(pool, worker, self.choose())
        pool.poll(0.2)

    def _prepare(self) -> bool:
        """Draw a network if few samples are waiting; whether that was so."""
        self._tell()
        few = len(self.waiting) < WAITING
        if few:
            self.draw()
        return few

    def _round(self, pool: Pool) -> None:
        """Measure some samples on this machine, and keep what was, also if cut short."""
        count = int(min(BATCH * len(pool.workers), self.settings.points - self.measured))
        while len(self.waiting) < count and not self._over:
            self._prepare()
        chosen = [self.choose() for _ in range(min(count, len(self.waiting)))]
        seats = Round(pool, chosen, self.settings.limits, self._prepare)
        try:
            seats.run()
        finally:
            for seat in seats.seats:
                self._take(seat.sample, seat.outcome)

    def draw(self) -> None:
        """Add the samples of the next network to those waiting, or to the points if known."""
        program, _ = network(self.settings.seed, self.drawn)
        number, self.drawn = self.drawn, self.drawn + 1
        for sample in samples(program, self.target, number):
            name = (self.journal.stored(sample.task).key, sample.kernel)
            if name in self.known:
                continue
            self.known.add(name)
            seconds = self.journal.recall(sample.task).get((sample.kernel, sample.point))
            if seconds is None:
                self.waiting.append(sample)
            else:
                remember(self.journal, sample, self.settings.seed)
                self._known_before(sample.kernel, sample, seconds)

    def choose(self) -> Sample:
        """Take the sample to measure next from those waiting."""
        judged = sum(p.sample.held_out for found in self.points.values() for p in found)
        total = sum(len(found) for found in self.points.values())
        held = [s for s in self.waiting if s.held_out]
        free = [s for s in self.waiting if not s.held_out]
        pool = (held if judged < JUDGED * total else free) or self.waiting
        kernels = sorted({s.kernel for s in pool})
        if pool is held or self.random.random() < AT_RANDOM:
            weights = [1.0] * len(kernels)
        else:
            weights = [self._worth(name) for name in kernels]
        (kernel,) = self.random.choices(kernels, weights)
        found = [s for s in pool if s.kernel == kernel]
        glance = self.random.sample(found, min(GLANCE, len(found)))
        chosen = glance[0] if pool is held else max(glance, key=self._doubt)
        self.waiting.remove(chosen)
        return chosen

    def _worth(self, kernel: str) -> float:
        """How much a further point of `kernel` may help: errors fall with the root of points."""
        fit, count = self.fits.get(kernel), len(self.points.get(kernel, ()))
        if fit is None or count < FIRST:
            return 1.0
        return float(np.median(np.abs(fit.left_out))) / sqrt(count)

    def _doubt(self, sample: Sample) -> float:
        fit = self.fits.get(sample.kernel)
        return fit.doubt(sample.features) if fit else 0.0

    def _measure(self, pool: Pool, worker: Worker, sample: Sample) -> None:
        """Have a remote device measure `sample`."""

        def reply(outcome: Outcome) -> None:
            self._take(sample, outcome)

        choice = (sample.kernel, sample.point)
        message = ("trial", sample.task.work, *choice, None, self.settings.limits)
        pool.give(worker, parcel(sample.task, self.settings.seed), message, reply)

    def _take(self, sample: Sample, outcome: Outcome) -> None:
        """Store what came of measuring `sample`."""
        if outcome.status == "lost":
            self.waiting.append(sample)
            return
        remember(self.journal, sample, self.settings.seed)
        self.journal.keep(sample.task, (sample.kernel, sample.point), outcome)
        self.measured += 1
        if outcome.status == "ok":
            self._note(sample, median(outcome.seconds))
        else:
            self.failures += 1

    def _note(self, sample: Sample, seconds: float) -> None:
        """Keep a point, and fit its kernel again once enough has come."""
        self.points.setdefault(sample.kernel, []).append(Measured(sample, seconds))
        seen = self._fitted_to(sample.kernel)
        if not sample.held_out and len(seen) % max(2, len(seen) // 6) == 0:
            process = fitted(seen)
            if process is not None:
                self.fits[sample.kernel] = process

    def _fitted_to(self, kernel: str) -> list[Measured]:
        """The points of a kernel that are not held out."""
        return [p for p in self.points.get(kernel, ()) if not p.sample.held_out]


def make_profile(
    target: Target, records: Path, settings: Settings, report: Progress
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
    if remote is not None:
        check(target, remote)
    place = device(remote.key if remote else None)
    path = profile_path(records.parent, target.spec, place)
    before = _stored(path, target)
    with Store(records) as store:
        journal = Journal(store, target, place, bare=remote is None)
        profiler = Profiler(target, journal, settings)
        profiler.recall({n: f.process.theta for n, f in before.fits.items()} if before else {})
        profiler.run(report)
    found = profile(profiler.points, target, place, before, report)
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
