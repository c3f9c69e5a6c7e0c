"""Worker processes: each measures one candidate at a time; one that dies or hangs is replaced."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, BinaryIO

from codesign.errors import ResourceError, TuningError, lacking_in
from codesign.tune.outcome import Outcome
from codesign.tune.remote import PATIENCE, Tracker
from codesign.tune.trial import Status
from codesign.tune.work import Parcel

START_SECONDS = 120.0
MOST_KILLED = 3  # workers, one after another
KEPT = "what was measured is kept"
Message = tuple[Any, ...]
Reply = Callable[[Any], None]


class Worker:
    """A process, its pipe, the tasks it knows, and what it is doing."""

    def __init__(self, target: str, cores: Sequence[int], tracker: Tracker | None = None) -> None:
        self.target, self.cores, self.tracker = target, cores, tracker
        self.start()

    def start(self) -> None:
        """Start the process; it says `ready` when TVM is loaded."""
        ours, theirs = Pipe()
        self.pipe: Connection = ours
        self.log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  (closed by stop)
        package = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        with theirs:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "codesign.tune.worker"),
                    *(str(theirs.fileno()), self.target, *self._bench()),
                    *(str(core) for core in self.cores),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
            )
        self.known: set[str] = set()
        self.reply: Reply | None = None
        self.until = time.monotonic() + START_SECONDS
        self.ready = False

    def _bench(self) -> tuple[str, str]:
        tracker = self.tracker
        return (f"{tracker.host}:{tracker.port}", tracker.key) if tracker else ("-", "-")

    @property
    def idle(self) -> bool:
        """Whether it can take a message."""
        return self.ready and self.reply is None

    def send(self, message: Message, seconds: float, reply: Reply) -> None:
        """Give it something to do; `reply` gets the answer, or an Outcome that says why not."""
        self.reply, self.until = reply, time.monotonic() + seconds
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # seen when it is polled
            self.pipe.send(message)

    def forget(self) -> None:
        """Free its tasks and prepared candidates."""
        self.known.clear()
        self.send(("drop",), START_SECONDS, lambda answer: None)

    def said(self) -> str:
        """The end of what it wrote."""
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace").strip()

    def tail(self) -> str:
        """The last line that it wrote."""
        lines = self.said().splitlines()
        return lines[-1][:300] if lines else ""

    def stop(self) -> None:
        """End the process and everything it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.pipe.close()
        self.log.close()


class Pool:
    """At most `most` workers for one target, each on cores of its own; a context manager.

    With a `tracker` there is a worker for each of its devices instead, which builds here and runs
    there, with more patience. Where this machine lacks room, memory or a permission no candidate is
    to blame: `poll` raises ResourceError then.
    """

    def __init__(
        self,
        target: str,
        threads: int,
        seconds: float = 20.0,
        most: int | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        self.failed_starts = self.killed = 0
        if tracker is not None:
            self.seconds = seconds + 4 * PATIENCE
            self.workers = [Worker(target, (), tracker) for _ in range(tracker.count())]
            return
        cores = sorted(os.sched_getaffinity(0))
        count = max(1, min(len(cores) // threads, most or len(cores)))
        shares = [cores[i * threads : (i + 1) * threads] or cores for i in range(count)]
        self.seconds = seconds
        self.workers = [Worker(target, share) for share in shares]

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers:
            worker.stop()

    @property
    def idle(self) -> list[Worker]:
        """The workers that have nothing to do."""
        return [worker for worker in self.workers if worker.idle]

    @property
    def busy(self) -> bool:
        """Whether any worker is starting or measuring."""
        return any(not worker.idle for worker in self.workers)

    @property
    def measuring(self) -> bool:
        """Whether any worker has something to answer."""
        return any(worker.reply is not None for worker in self.workers)

    def give(self, worker: Worker, parcel: Parcel, message: Message, reply: Reply) -> None:
        """Send a message about the task of `parcel`, which is sent along the first time."""
        if parcel.work not in worker.known:
            worker.known.add(parcel.work)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(("task", parcel))
        worker.send(message, self.seconds, reply)

    def poll(self, seconds: float) -> None:
        """Wait for answers for at most `seconds`, and hand them on; replace who died or hangs."""
        busy = {worker.pipe: worker for worker in self.workers if not worker.idle}
        limit = min((w.until for w in busy.values()), default=0.0) - time.monotonic()
        for pipe in wait(list(busy), max(0.0, min(seconds, limit))):
            self._receive(busy[pipe])  # type: ignore[index]
        for worker in self.workers:
            if not worker.idle and time.monotonic() > worker.until:
                self._replace(worker, Outcome("hung", message=f"no answer in {self.seconds:g} s"))

    def _receive(self, worker: Worker) -> None:
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            code = worker.process.wait()
            self._blame_machine(code, worker.said())
            status: Status = "killed" if code == -signal.SIGKILL else "crashed"
            self._replace(worker, Outcome(status, message=_why(code, worker.tail())))
            return
        if answer == "ready":
            worker.ready, self.failed_starts = True, 0
        elif answer != "kept":
            if isinstance(answer, Outcome) and answer.status == "unable":
                raise ResourceError(f"{answer.message}; {KEPT}")
            self.killed = 0
            reply, worker.reply = worker.reply, None
            assert reply is not None
            reply(answer)
            if isinstance(answer, Outcome) and answer.status == "lost":
                self._retire(worker, answer.message)

    def _blame_machine(self, code: int, said: str) -> None:
        """ResourceError if it was the machine's fault that a worker ended so."""
        lack = lacking_in(said)
        if lack is not None:
            raise ResourceError(f"a worker process failed: {lack}; {KEPT}")
        self.killed += code == -signal.SIGKILL
        if self.killed > MOST_KILLED:
            raise ResourceError(
                f"{self.killed} worker processes were killed one after another (SIGKILL), most "
                "likely for want of memory; end other programs or take fewer cores (taskset); "
                f"{KEPT}"
            )

    def _retire(self, worker: Worker, why: str) -> None:
        """Go on without `worker`; TuningError if it was the last one."""
        worker.stop()
        self.workers.remove(worker)
        if not self.workers:
            raise TuningError(f"{why}; {KEPT}")

    def _replace(self, worker: Worker, outcome: Outcome) -> None:
        """Start `worker` anew and tell who waits for it what happened."""
        reply, worker.reply = worker.reply, None
        tail, was_ready = worker.tail(), worker.ready
        worker.stop()
        self.failed_starts += not was_ready
        if self.failed_starts > 2:
            raise TuningError(
                f"a worker process does not start: {tail or outcome.message}; "
                "`codesign check` with the same target may say why"
            )
        worker.start()
        if reply is not None:
            reply(outcome)


def _why(code: int, tail: str) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"the worker ended with code {code}: {tail}"
    return f"the worker was ended by {signal.Signals(-code).name}{': ' + tail if tail else ''}"
