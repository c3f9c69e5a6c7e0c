"""An RPC tracker and servers on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from codesign.tune.remote import DeviceLostError, Tracker

KEY = "loopback"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(module: str, port: int, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of one of TVM's RPC programs, in a group of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", f"tvm.exec.{module}", "--host", "127.0.0.1"),
            *("--port", str(port), "--port-end", str(port + 1), *arguments),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def devices(count: int) -> Iterator[tuple[Tracker, list[subprocess.Popen[bytes]]]]:
    """A tracker with `count` servers of one key, all of them registered."""
    tracker = Tracker("127.0.0.1", free_port(), KEY)
    at = f"{tracker.host}:{tracker.port}"
    running = [start("rpc_tracker", tracker.port)]
    try:
        until = time.monotonic() + 120
        while True:
            try:
                tracker.connect()
                break
            except DeviceLostError:
                assert time.monotonic() < until, "the tracker does not start"
                time.sleep(0.2)
        for _ in range(count):
            running.append(start("rpc_server", free_port(), "--tracker", at, "--key", KEY))
        while True:
            try:
                if tracker.count() == count:
                    break
            except DeviceLostError:
                pass
            assert time.monotonic() < until, "the servers do not register"
            time.sleep(0.2)
        yield tracker, running[1:]
    finally:
        for process in running:
            kill(process)
