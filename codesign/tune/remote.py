"""Candidates on a remote device: built here, sent and run through TVM's RPC.

The device runs `python -m tvm.exec.rpc_server --tracker HOST:PORT --key KEY`, or TVM's C++ server:
nothing of codesign is needed there. Whoever asks the tracker for KEY gets any free device of it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.errors import TuningError, UsageError
from codesign.mapping.target import Target
from codesign.runtime.built import Built
from codesign.runtime.execute import checked
from codesign.runtime.folder import scratch_folder
from codesign.runtime.plan import Slot
from codesign.tune.work import Arrays, Parcel

ROOM = 16 << 20  # bytes for the library of one candidate, and the object that it is made of
PATIENCE = 10.0  # seconds to wait for a free device
SESSION_SECONDS = 20  # after which the device ends a session by itself


class DeviceLostError(TuningError):
    """No device answers; the candidate is not to blame."""


class SessionBrokenError(TuningError):
    """The session ended while a candidate ran: by the candidate's fault, or the device is gone."""


@dataclass(frozen=True)
class Tracker:
    """Where a tracker is, and the key of the devices to take."""

    host: str
    port: int
    key: str

    @staticmethod
    def parse(text: str, key: str) -> "Tracker":
        """`host:port` and a key; UsageError for anything else."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise UsageError(f"--rpc-tracker {text!r} is no HOST:PORT, such as 127.0.0.1:9190")
        if not key:
            raise UsageError("--rpc-tracker is given without --rpc-key, the key of the devices")
        return Tracker(host, int(port), key)

    def connect(self) -> Any:
        """A connection to the tracker; DeviceLostError if it is not there."""
        import socket

        try:  # rpc.connect_tracker would try for half a minute, and importing it takes seconds
            socket.create_connection((self.host, self.port), timeout=PATIENCE).close()
            from tvm import rpc

            found = rpc.connect_tracker(self.host, self.port)
        except (OSError, RuntimeError) as error:
            raise DeviceLostError(
                f"no RPC tracker answers at {self.host}:{self.port} ({error}); {self.commands()}"
            ) from None
        found._sock.settimeout(PATIENCE)
        return found

    def count(self) -> int:
        """How many devices have the key; DeviceLostError if none."""
        servers = self.connect().summary()["server_info"]
        found = sum(1 for one in servers if one["key"] == f"server:{self.key}")
        if not found:
            keys = sorted({str(one["key"]).removeprefix("server:") for one in servers})
            raise DeviceLostError(
                f"no device with key {self.key} is at tracker {self.host}:{self.port}; it has "
                f"{', '.join(keys) or 'none'}; {self.commands()}"
            )
        return found

    def commands(self) -> str:
        """How to start the tracker and a server of a device."""
        return (
            f"start the tracker with `python -m tvm.exec.rpc_tracker --port {self.port}` on "
            f"{self.host}, and on each device `python -m tvm.exec.rpc_server --tracker "
            f"{self.host}:{self.port} --key {self.key}` (both need the packages cloudpickle, "
            "psutil and tornado)"
        )

    def session(self) -> Any:
        """A session on a free device; DeviceLostError if none gets free in time."""
        tracker = self.connect()
        until = time.monotonic() + PATIENCE
        while not self._free(tracker):
            if time.monotonic() > until:
                raise DeviceLostError(f"no device with key {self.key} was free in {PATIENCE:g} s")
            time.sleep(0.1)
        try:
            return tracker.request(self.key, session_timeout=SESSION_SECONDS, max_retry=1)
        except RuntimeError as error:
            raise DeviceLostError(f"the device with key {self.key} is gone: {error}") from None

    def _free(self, tracker: Any) -> bool:
        try:
            queue = tracker.summary()["queue_info"].get(self.key)
        except (OSError, RuntimeError, ValueError) as error:
            raise DeviceLostError(f"the RPC tracker is gone: {error}") from None
        return queue is not None and queue["free"] > 0


def check(target: Target, tracker: Tracker) -> int:
    """How many devices of `tracker` there are for `target`, before any long step.

    DeviceLostError if none; TuningError if what is built here could not be run on them.
    """
    if why := target.unlinkable():
        raise TuningError(
            f"nothing here can link for {target.spec} ({why}), and the devices cannot do it; "
            "install the package ziglang or a C compiler for the device here"
        )
    return tracker.count()


class Remote:
    """The devices of a tracker. Candidates that are loaded at once share a session."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.session: Any = None
        self.loaded = 0

    @contextmanager
    def load(self, made: Built, parcel: Parcel) -> Iterator["RemoteCandidate"]:
        """A candidate on a device. SessionBrokenError, DeviceLostError."""
        if self.session is None:
            self.session = self.tracker.session()
        self.loaded += 1
        try:
            with scratch_folder(ROOM) as folder:
                library = made.code.save(Path(folder)).path
                if library.suffix != ".so":
                    raise TuningError(
                        f"{library.name} is not linked, and the device cannot do it; install the "
                        "package ziglang or a C compiler for the device here"
                    )
                with _session_kept():
                    candidate = RemoteCandidate(self.session, made, library, parcel, self.loaded)
                yield candidate
        finally:
            self.loaded -= 1
            if not self.loaded:
                close(self.session)
                self.session = None


@contextmanager
def _session_kept() -> Iterator[None]:
    """SessionBrokenError for whatever TVM raises within."""
    import tvm

    try:
        yield
    except (tvm.error.RPCError, RuntimeError, OSError) as error:
        last = str(error).strip().splitlines()[-1:]
        raise SessionBrokenError(f"the device ended the session: {''.join(last)[:300]}") from None


class RemoteCandidate:
    """The functions of a plan on a device, with buffers there for its slots and weights."""

    def __init__(
        self, session: Any, made: Built, library: Path, parcel: Parcel, number: int
    ) -> None:
        self.plan, self.device = made.plan, session.cpu(0)
        self.made: dict[Slot, Any] = {}
        self.weights = {name: self._sent(array) for name, array in made.weights.items()}
        _check_buffers(made)
        name = f"candidate{number}.so"
        session.upload(str(library), name)
        self.module = session.load_module(name)
        session.get_function("runtime.config_threadpool")(1, made.threads)
        self._check_threads(session, made.threads)
        self.bind(parcel.inputs)
        self.calls = [
            (step, [self._argument(a) for a in step.arguments]) for step in self.plan.steps
        ]
        self.own = [i for i, step in enumerate(self.plan.steps) if step.layer == parcel.nodes[0]]
        self.timers: dict[int, Any] = {}

    @staticmethod
    def _check_threads(session: Any, count: int) -> None:
        used = session.get_function("runtime.NumThreads")()
        if used != count:
            raise TuningError(
                f"the device uses {used} threads where {count} are asked for; start its server "
                f"with TVM_NUM_THREADS={count} in the environment"
            )

    def _sent(self, array: np.ndarray) -> Any:
        import tvm

        return tvm.runtime.tensor(np.ascontiguousarray(array), self.device)

    def _argument(self, argument: Slot | str) -> Any:
        import tvm

        if isinstance(argument, str):
            return self.weights[argument]
        if argument not in self.made:
            self.made[argument] = tvm.runtime.empty(argument.shape, argument.dtype, self.device)
        return self.made[argument]

    def bind(self, inputs: Arrays) -> None:
        """Send `inputs`."""
        for array, port in zip(checked(inputs, self.plan.inputs), self.plan.inputs, strict=True):
            values = array.reshape(port.slot.shape).astype(port.slot.dtype)
            self._argument(port.slot).copyfrom(np.ascontiguousarray(values))

    def outputs(self, inputs: Arrays) -> Arrays:
        """What it makes of `inputs`."""
        with _session_kept():
            self.bind(inputs)
            for step, arguments in self.calls:
                self.module.get_function(step.function)(*arguments)
            return {
                port.name: self.made[port.slot].numpy().reshape(port.shape).astype(port.dtype)
                for port in self.plan.outputs
            }

    def time(self) -> float:
        """Seconds that its steps take in one run, by the device's clock."""
        total = 0.0
        with _session_kept():
            for i in self.own:
                step, arguments = self.calls[i]
                if i not in self.timers:
                    self.timers[i] = self.module.time_evaluator(step.function, self.device, 1, 1)
                total += float(self.timers[i](*arguments).mean)
        return total


def _check_buffers(made: Built) -> None:
    """TuningError where a step reads bytes in another shape than they were written in.

    Buffers on a device are separate tensors, which cannot lie upon each other as in an arena.
    """
    written: dict[int, Slot] = {port.slot.offset: port.slot for port in made.plan.inputs}
    for step in made.plan.steps:
        *_, last = step.arguments
        for argument in step.arguments:
            if isinstance(argument, str) or argument is last:
                continue
            if written.get(argument.offset, argument) != argument:
                raise TuningError(f"{step.layer} reads a buffer as another shape, not yet remote")
        for argument in step.arguments:
            if isinstance(argument, Slot):
                written[argument.offset] = argument


def close(session: Any) -> None:
    """End a session now rather than when it is collected, so that the device is free."""
    with suppress(RuntimeError, OSError, AttributeError):
        session.get_function("CloseRPCConnection")()
