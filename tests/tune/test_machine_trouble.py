"""Where the machine lacks room, memory or a right no candidate is blamed, and the run says so."""

import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from codesign.errors import CodesignError, ResourceError, TuningError, foreign_code, lacking
from codesign.runtime.folder import scratch_folder
from codesign.runtime.host import device
from codesign.tune import tuner
from codesign.tune.duel import duel
from codesign.tune.journal import Journal
from codesign.tune.outcome import Outcome, failure
from codesign.tune.pool import Pool, Worker
from codesign.tune.shelf import Shelf
from codesign.tune.store import Store
from codesign.tune.timing import Limits, Subject, trial
from codesign.tune.tuner import Settings, Tuner
from tests.tune.processes import elsewhere
from tests.tune.small_task import TARGET, sent, task


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "disk is full"),
        (OSError(27, "File too large"), "ulimit -f"),
        (PermissionError(13, "Permission denied"), "check the rights"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("std::bad_alloc"), "not enough memory"),
        (TuningError("cannot load candidate.o: Cannot allocate memory"), "not enough memory"),
        (ResourceError("files are limited"), "files are limited"),
    ],
)
def test_what_the_machine_lacks_is_no_failure_of_a_candidate(error: Exception, words: str) -> None:
    outcome = failure(error, "crashed")
    assert outcome.status == "unable" and words in outcome.message
    wrapped = RuntimeError("the pass broke")
    wrapped.__cause__ = error
    assert failure(wrapped) == outcome


def test_other_errors_are_the_candidates() -> None:
    assert failure(TuningError("no such kernel")) == Outcome("failed", message="no such kernel")
    assert failure(ValueError("odd")) == Outcome("failed", message="ValueError: odd")
    assert lacking(ValueError("odd")) is None


def test_no_pass_is_blamed_for_want_of_memory() -> None:
    with pytest.raises(ResourceError, match="not enough memory"), foreign_code(CodesignError):
        raise RuntimeError("InternalError: std::bad_alloc")
    with pytest.raises(CodesignError, match="odd") as caught, foreign_code(CodesignError):
        raise RuntimeError("odd")
    assert not isinstance(caught.value, ResourceError)


class Full:
    """A bench on a machine whose disk is full."""

    def load(self, made: object, parcel: object) -> Any:
        raise OSError(28, "No space left on device")


def test_trials_duels_and_prepared_candidates_say_that_the_machine_is_unable() -> None:
    subject = Subject(sent(), sent().graph(), TARGET, Full())
    start = task().start
    found = [
        trial(subject, *start, None, Limits()),
        duel(subject, start, start, 3),
        Shelf().prepare(subject, *start),
    ]
    assert [one.status if isinstance(one, Outcome) else one for one in found] == ["unable"] * 3


def test_room_is_looked_for_before_anything_is_compiled_into_it() -> None:
    def limited() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (38 * 1024, 38 * 1024))
        with scratch_folder():
            return "made"

    assert "limited to 38 KiB" in elsewhere(limited) and "ulimit -f" in elsewhere(limited)


def test_a_disk_without_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(ResourceError, match=r"has 1 MiB of room.*TMPDIR"):
        scratch_folder()


def tune(path: Path, trials: int) -> list[str]:
    with Store(path) as store:
        journal = Journal(store, TARGET, device())
        settings = Settings(trials, limits=Limits(0.005, 3, 5))
        Tuner([task()], TARGET, journal, settings, lambda event: None).run()
        return [one.status for one in store.trials()]


def test_a_limit_on_file_sizes_ends_the_run_and_brands_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, known = tmp_path / "t.db", sent()  # threads of torch do not survive a fork
    monkeypatch.setattr(tuner, "parcel", lambda task, seed: known)

    def limited() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (80 * 1024, resource.RLIM_INFINITY))
        return str(tune(path, 2))

    told = elsewhere(limited)
    assert told.startswith("ResourceError") and "ulimit -f" in told and "is kept" in told
    with Store(path, write=False) as store:
        assert store.trials() == []
    assert set(tune(path, 2)) == {"ok"}, "the same candidates, once there is room"


class Dead:
    """A worker process that has ended."""

    def __init__(self, code: int) -> None:
        self.code = code

    def wait(self) -> int:
        return self.code


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    """With a worker that waits for an answer, and whose process has ended."""
    monkeypatch.setattr(Worker, "start", lambda self: None)
    monkeypatch.setattr(Worker, "stop", lambda self: None)
    monkeypatch.setattr(Worker, "said", lambda self: self.log)
    made = Pool(TARGET.spec, len(os.sched_getaffinity(0)))
    (worker,) = made.workers
    worker.ready, worker.log = True, ""  # type: ignore[assignment]
    return made


def ended(pool: Pool, code: int, said: str = "") -> list[Any]:
    """What somebody hears whose worker ended with `code` and last words."""

    class Broken:
        def recv(self) -> object:
            raise EOFError

    heard: list[Any] = []
    (worker,) = pool.workers
    worker.reply, worker.log = heard.append, said  # type: ignore[assignment]
    worker.process, worker.pipe = Dead(code), Broken()  # type: ignore[assignment]
    pool._receive(worker)
    return heard


@pytest.mark.parametrize(
    "said",
    [
        "LLVM ERROR: IO failure on output stream: File too large",
        "LLVM ERROR: IO failure on output stream: No space left on device\nAborted",
        "LLVM ERROR: out of memory",
        "MemoryError",
    ],
)
def test_a_worker_that_ends_for_want_of_something_ends_the_run(pool: Pool, said: str) -> None:
    with pytest.raises(ResourceError, match="what was measured is kept"):
        ended(pool, -signal.SIGABRT, said)


def test_a_worker_that_crashes_blames_its_candidate(pool: Pool) -> None:
    (outcome,) = ended(pool, -signal.SIGSEGV, "Segmentation fault")
    assert outcome.status == "crashed" and "Segmentation fault" in outcome.message


def test_one_kill_is_survived_and_many_in_a_row_are_want_of_memory(pool: Pool) -> None:
    for _ in range(3):
        assert [one.status for one in ended(pool, -signal.SIGKILL)] == ["killed"]
    with pytest.raises(ResourceError, match=r"killed one after another \(SIGKILL\).*memory"):
        ended(pool, -signal.SIGKILL)


def test_who_was_killed_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, device())
        for choice, status in zip(
            task().candidates(TARGET), ("killed", "crashed", "unable", "lost"), strict=False
        ):
            journal.keep(task(), choice, Outcome(status))  # type: ignore[arg-type]
        assert [one.status for one in store.trials()] == ["killed", "crashed"]
        assert list(journal.recall(task())) == list(task().candidates(TARGET))[1:2]
