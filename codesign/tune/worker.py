"""A worker process: takes tasks and candidates over a pipe, answers with outcomes.

python -m codesign.tune.worker FD TARGET TRACKER KEY CORES...

TRACKER is host:port of an RPC tracker, or `-` for this machine.

Messages are ("task", Parcel), ("trial", work, kernel, point, best, limits), ("duel", work, first,
second, rounds), and of bare candidates ("prepare", work, kernel, point), ("time", work, kernel,
limits) and ("drop",), which frees them and all tasks. A worker ends when its pipe closes. It holds
TVM and the tasks in memory.
"""

import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from codesign import plugins
from codesign.mapping.target import Target
from codesign.tune.duel import duel
from codesign.tune.local import Local
from codesign.tune.remote import Remote, Tracker
from codesign.tune.shelf import Shelf
from codesign.tune.timing import Bench, Subject, trial


class Server:
    """Answers the messages of one connection."""

    def __init__(self, target: Target, bench: Bench) -> None:
        self.target, self.bench = target, bench
        self.tasks: dict[str, Subject] = {}
        self.shelf = Shelf()

    def answer(self, message: tuple[Any, ...]) -> Any:
        """The reply to `message`."""
        match message:
            case ("task", parcel):
                self.tasks[parcel.work] = Subject(parcel, parcel.graph(), self.target, self.bench)
                return "kept"
            case ("trial", work, kernel, point, best, limits):
                return trial(self.tasks[work], kernel, point, best, limits)
            case ("duel", work, first, second, rounds):
                return duel(self.tasks[work], first, second, rounds)
            case ("prepare", work, kernel, point):
                return self.shelf.prepare(self.tasks[work], kernel, point)
            case ("time", work, kernel, limits):
                return self.shelf.time(work, kernel, limits)
            case ("drop",):
                self.tasks.clear()
                return self.shelf.drop()
        raise ValueError(f"unknown message {message[0]!r}")


def main(arguments: list[str]) -> None:
    """Serve until the pipe closes."""
    handle, target, tracker, key, *cores = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tuner decides when to stop
    if cores:
        os.sched_setaffinity(0, [int(core) for core in cores])
    bench = Local() if tracker == "-" else Remote(Tracker.parse(tracker, key))
    server = Server(plugins.make("target", target), bench)
    with Connection(int(handle)) as pipe:
        try:
            import tvm  # noqa: F401  (once, before the first candidate)

            pipe.send("ready")
            while True:
                pipe.send(server.answer(pipe.recv()))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    main(sys.argv[1:])
