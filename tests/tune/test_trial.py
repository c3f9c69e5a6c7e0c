"""Points, trials, tasks and devices: what they refuse, and that text gives them back."""

import json
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import UsageError
from codesign.ir.program import Point
from codesign.tune.exchange import parse_record, print_record
from codesign.tune.point import parse_point, print_point
from codesign.tune.trial import Device, Task, Trial
from tests.tune.samples import OTHER, TASK, record, trial
from tests.tune.strategies import points, trials


@given(points())
def test_points_come_back_with_the_types_of_their_values(point: Point) -> None:
    again = parse_point(print_point(point))
    assert repr(again) == repr(point)  # 1, 1.0 and True are equal, but not the same
    assert print_point(again) == print_point(point)


def test_points_are_readable_json() -> None:
    point = (("tile", 7), ("order", ("oc", "ic")), ("scale", 1.0), ("nested", ((), (True,))))
    assert print_point(point) == (
        '{"tile": 7, "order": ["oc", "ic"], "scale": 1.0, "nested": [[], [true]]}'
    )


def deep(levels: int) -> tuple[Any, ...]:
    return (deep(levels - 1),) if levels else ()


@pytest.mark.parametrize(
    "bad",
    [
        (("x", inf),),
        (("x", -inf),),
        (("x", (1, nan)),),
        (("x", None),),
        (("x", [1]),),
        (("x", np.int64(1)),),
        (("x", b"x"),),
        (("x", 1), ("x", 2)),
        (("x", 2**63),),
        (("x", 10**5000),),
        (("x", deep(30)),),
        ((1, "x"),),
        ("xy",),
        {"x": 1},
        [("x", 1)],
    ],
)
def test_points_refuse_what_would_not_come_back(bad: Any) -> None:
    with pytest.raises(UsageError):
        print_point(bad)
    with pytest.raises(UsageError):
        trial(point=bad)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "null",
        '{"x": Infinity}',
        '{"x": 1e999}',
        '{"x": 1, "x": 2}',
        '{"x": {}}',
        '{"x": null}',
        '{"x"',
        "[" * 99999,
        '{"x": ' + "9" * 5000 + "}",
    ],
    ids=lambda text: text[:16],
)
def test_text_that_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_point(text)


@given(trials())
def test_records_come_back_from_a_line_of_json(kept: Trial) -> None:
    line = print_record(record(kept))
    assert "\n" not in line
    again = parse_record(line)
    assert again == record(kept)
    assert again.trial.digest == kept.digest
    assert json.loads(line)["format"] == "codesign-trial/1"


@pytest.mark.parametrize(
    "changed",
    [
        {"seconds": inf, "high": inf},
        {"seconds": nan},
        {"seconds": 0.0, "low": 0.0},
        {"seconds": -0.5, "low": -0.5},
        {"seconds": 1},
        {"low": None},
        {"low": 0.6},
        {"high": 0.4},
        {"high": inf},
        {"repeats": 0},
        {"repeats": 1.0},
        {"repeats": 2**63},
        {"repeats": -1},
        {"repeats": True},
        {"status": "fine"},
        {"status": "wrong"},
        {"seconds": None, "status": "ok"},
        {"kernel": None},
        {"kernel": "\ud800"},
        {"task": 3},
        {"at": "yesterday"},
        {"at": 12.0},
    ],
    ids=str,
)
def test_trials_refuse_what_cannot_be(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"{next(iter(changed))} is|low, seconds, high|no times"):
        trial(**changed)


def test_messages_may_hold_anything() -> None:
    kept = trial(seconds=None, message="half \ud83d of it\0\n")
    assert kept.message == "half \\ud83d of it\0\n"
    assert parse_record(print_record(record(kept))).trial == kept


def test_trials_are_the_same_only_in_every_field() -> None:
    same = [trial(), trial()]
    others = [
        trial(1), trial(0, 0.25), trial(version="2"), trial(kernel="k"), trial(task=OTHER.key),
        trial(at="2031-02-03T04:05:07+00:00"), trial(message="x"), trial(repeats=6),
        trial(point=(("tile", 0.0),)), trial(point=(("tile", False),)), trial(point=(("tile", 0),)),
    ]  # fmt: skip
    assert len({one.digest for one in same}) == 1
    assert len({one.digest for one in [*same, *others]}) == len(others) + 1


def test_new_trials_know_the_time() -> None:
    made = Trial("t", "d", "k", "1", (), "hung")
    assert made.at.endswith("+00:00") and made.seconds is None


def test_a_task_is_told_by_text_and_target() -> None:
    keys = {
        Task(op, text, target, flops).key
        for op in "ab"
        for text in "cd"
        for target in "ef"
        for flops in (1, 2)
    }
    assert len(keys) == 4 and all(len(key) == 24 for key in keys)
    assert Task(TASK.op, TASK.text, TASK.target, 5).key == TASK.key
    with pytest.raises(UsageError, match="flops"):
        Task("conv", "", "cpu", -1)
    with pytest.raises(UsageError, match="text"):
        Task("conv", None, "cpu", 1)  # type: ignore[arg-type]


JSON = st.recursive(
    st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_a_device_is_told_by_its_fingerprint_in_any_order(fingerprint: dict[str, Any]) -> None:
    device = Device(fingerprint)
    turned = Device(dict(reversed(fingerprint.items())))
    assert turned.key == device.key and turned == device
    assert device.fingerprint == fingerprint
    assert Device({**fingerprint, "one more": 1}).key != device.key


@pytest.mark.parametrize("bad", [{"x": inf}, {"x": {1, 2}}, {"x": nan}, {1: "x", "y": 1}, "cpu"])
def test_fingerprints_are_json(bad: Any) -> None:
    with pytest.raises(UsageError, match="fingerprint"):
        Device(bad)
