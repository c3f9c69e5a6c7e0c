"""A measured schedule, the task it was measured for, and the device it ran on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import cached_property
from math import isfinite
from typing import Any, Literal, NamedTuple, get_args

from codesign.errors import UsageError
from codesign.ir.program import Point
from codesign.tune.point import LARGEST, parse_json, print_point

Status = Literal["ok", "failed", "crashed", "hung", "wrong", "killed"]
STATUSES: tuple[Status, ...] = get_args(Status)


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Trial:
    """`point` of `kernel` (code `version`), measured for `task` on `device` (their keys).

    `seconds` is the median of `repeats` runs, `low` and `high` their 10th and 90th percentile; all
    three are None unless `status` is ok. `ratio` is the median ratio to the incumbent's time in
    interleaved runs, where the point won them by more than the noise (`codesign.tune.duel`): then
    it is what compiling may use, and `message` says whom it beat (`faster_than`). `at` is when it
    was measured, for people: nothing depends on it. Trials that are equal in every field are one
    trial. UsageError says which field is bad.
    """

    task: str
    device: str
    kernel: str
    version: str
    point: Point
    status: Status
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    repeats: int = 0
    ratio: float | None = None
    message: str = ""
    at: str = field(default_factory=now)

    def __post_init__(self) -> None:
        _strings(self)
        if self.status not in STATUSES:
            raise UsageError(f"status is {self.status!r}, expected one of {', '.join(STATUSES)}")
        _whole("repeats", self.repeats)
        print_point(self.point)
        self._check_times()
        try:
            datetime.fromisoformat(self.at)
        except ValueError:
            raise UsageError(f"at is {self.at!r}, expected a time in ISO 8601") from None

    def _check_times(self) -> None:
        times = (self.low, self.seconds, self.high)
        if self.status != "ok":
            if any(time is not None for time in (*times, self.ratio)):
                raise UsageError(f"a trial that is {self.status!r} has no times, but got {times}")
            return
        if self.ratio is not None and not 0 < self.ratio < 1:
            raise UsageError(f"ratio is {self.ratio}, expected one of a won comparison: 0 to 1")
        if not all(isinstance(time, float) and isfinite(time) for time in times):
            raise UsageError(f"low, seconds, high are {times}, expected finite floats")
        low, seconds, high = (time or 0.0 for time in times)
        if not 0 < low <= seconds <= high or self.repeats < 1:
            raise UsageError(
                f"low, seconds, high are {times} of {self.repeats} repeats; expected "
                "0 < low <= seconds <= high of at least 1"
            )

    @cached_property
    def digest(self) -> str:
        """Tells this trial from every other."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return _hash(json.dumps(values | {"point": print_point(self.point)}), 32)


def faster_than(kernel: str, version: str, point: Point) -> str:
    """The message of a trial that won its duel against this incumbent: equal for equal ones."""
    return f"faster than {kernel} {print_point(point)}, version {version}"


@dataclass(frozen=True)
class Task:
    """What is tuned: a group of nodes as the canonical `text` of a program, on `target` (a spec).

    `flops` counts a multiply-accumulate as two.
    """

    op: str
    text: str
    target: str
    flops: int

    def __post_init__(self) -> None:
        _strings(self)
        _whole("flops", self.flops)

    @cached_property
    def key(self) -> str:
        """Follows from text and target."""
        return _hash(json.dumps([self.target, self.text]), 24)


@dataclass(frozen=True)
class Device:
    """A machine, by what `codesign.runtime.host.fingerprint` or a remote device tells of itself."""

    fingerprint: Mapping[str, Any] = field(hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.fingerprint, Mapping):
            raise UsageError(f"a fingerprint is an object, but got {self.fingerprint!r:.80}")
        plain = parse_json(self.text)  # as it comes back from the store
        object.__setattr__(self, "fingerprint", plain)

    @cached_property
    def text(self) -> str:
        """The fingerprint as JSON, names sorted; UsageError if it has no such form."""
        try:
            return json.dumps(dict(self.fingerprint), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the fingerprint is no JSON: {error}") from None

    @cached_property
    def key(self) -> str:
        """Follows from the fingerprint."""
        return _hash(self.text, 16)


class Record(NamedTuple):
    """A trial with what its keys stand for."""

    task: Task
    device: Device
    trial: Trial


def _strings(thing: Trial | Task) -> None:
    """Check the fields that are text; what no file can hold is escaped in a message."""
    for f in fields(thing):
        value = getattr(thing, f.name)
        if f.type not in (str, Status):
            continue
        if not isinstance(value, str):
            raise UsageError(f"{f.name} is {value!r:.80}, expected a string")
        written = value.encode("utf-8", "backslashreplace").decode()
        if f.name == "message":
            object.__setattr__(thing, f.name, written)
        elif written != value:
            raise UsageError(f"{f.name} is {value!r:.80}, which is no Unicode text")


def _whole(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise UsageError(f"{name} is {value!r:.80}, expected an integer from 0 to 2^63 - 1")


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
