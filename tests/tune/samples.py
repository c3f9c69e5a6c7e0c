"""Tasks, devices and trials to store."""

from typing import Any

from codesign.ir.program import Point
from codesign.tune.store import Store
from codesign.tune.trial import Device, Record, Task, Trial

TASK = Task("conv", "graph net(%x: tensor<1x3x8x8xf32>) {}", "cpu", 2_000_000)
OTHER = Task("linear", "graph net(%x: tensor<1x8xf32>) {}", "cpu", 128)
DEVICE = Device({"cpu": "Testium 3", "cores": 2, "architecture": "x86_64"})
FAR = Device({"cpu": "Elsewhere 1"})


def point(number: int) -> Point:
    return (("tile", number), ("order", ("oc", "ic")), ("unroll", True))


def trial(number: int = 0, seconds: float | None = 0.5, **changed: Any) -> Trial:
    """A trial of point `number`, of TASK on DEVICE; without `seconds` one that failed."""
    times: dict[str, Any] = {"status": "failed"}
    if seconds is not None:
        times = {"low": seconds * 0.9, "high": seconds * 1.25, "repeats": 5, "status": "ok"}
    given = {
        "task": TASK.key,
        "device": DEVICE.key,
        "kernel": "conv-direct",
        "version": "1",
        "point": point(number),
        "seconds": seconds,
        "at": "2031-02-03T04:05:06.789+00:00",
        **times,
        **changed,
    }
    return Trial(**given)


def record(kept: Trial) -> Record:
    """`kept` with its task and device."""
    tasks = {task.key: task for task in (TASK, OTHER)}
    devices = {device.key: device for device in (DEVICE, FAR)}
    return Record(tasks[kept.task], devices[kept.device], kept)


def fill(store: Store, *kept: Trial) -> Store:
    """`store` with `kept` added."""
    store.add_all([record(one) for one in kept])
    return store
