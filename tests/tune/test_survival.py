"""What a run survives: candidates that fail in every way, and its own death at any moment."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from codesign.runtime.host import device
from codesign.tune import tuner
from codesign.tune.journal import Journal
from codesign.tune.point import print_point
from codesign.tune.pool import Pool
from codesign.tune.store import Store
from codesign.tune.timing import Limits
from codesign.tune.tuner import Settings, Tuner
from tests.tune.processes import intact
from tests.tune.small_task import TARGET, task

KILLS = int(os.environ.get("CODESIGN_TUNER_KILLS", "2"))
ROOT = Path(__file__).parents[2]

# what a worker process runs first: the second candidate gives wrong numbers, the third hangs, the
# fourth ends the process, the fifth breaks; a file counts them over all processes
SABOTAGE = """
import os, time
from codesign.tune.local import LocalCandidate

whole = LocalCandidate.outputs

def outputs(self, inputs):
    with open({counter!r}, "ab") as file:
        file.write(b".")
    number = os.path.getsize({counter!r})
    found = whole(self, inputs)
    if number == 2:
        return {{name: array + 1 for name, array in found.items()}}
    if number == 3:
        time.sleep(1000)
    if number == 4:
        os.abort()
    if number == 5:
        raise ValueError("odd")
    return found

LocalCandidate.outputs = outputs
"""


def test_wrong_hanging_crashing_and_broken_candidates_are_recorded_and_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SABOTAGE.format(counter=str(tmp_path / "count"))
    (tmp_path / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tuner, "Pool", partial(Pool, seconds=8.0, most=1))
    events: list[dict[str, Any]] = []
    with Store(tmp_path / "t.db") as store:
        journal = Journal(store, TARGET, device())
        settings = Settings(6, limits=Limits(0.005, 3, 5))
        run = Tuner([task()], TARGET, journal, settings, lambda e: events.append(dict(e)))
        (found,) = run.run()
        kept = [one for one in store.trials() if one.ratio is None]
    statuses = ["ok", "wrong", "hung", "crashed", "failed", "ok"]
    assert [one.status for one in kept] == statuses
    assert [e["status"] for e in events if e["event"] == "trial"] == statuses
    assert "is off by" in kept[1].message and "no answer in 8 s" in kept[2].message
    assert "SIGABRT" in kept[3].message and kept[4].message == "ValueError: odd"
    bad = {(one.kernel, one.point) for one in kept if one.status != "ok"}
    assert found.settled not in bad and found.failures == 4


def reported(path: Path, trials: int, rest: float) -> list[dict[str, Any]]:
    """The trials that a run told of until it was killed, `rest` seconds after the last of some."""
    command = [sys.executable, "-m", "codesign.cli", "tune", "tests.small:small_program", "--json"]
    limits = ["--target", TARGET.spec, "--trials", "100000", "--tuning-records", str(path)]
    process = subprocess.Popen(
        [*command, *limits], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    found: list[dict[str, Any]] = []
    for line in process.stderr:
        found += [json.loads(line)] if line.startswith('{"event": "trial"') else []
        if len(found) >= trials:
            break
    time.sleep(rest)
    os.kill(process.pid, signal.SIGKILL)
    left = process.stderr.read().splitlines(keepends=True)
    found += [json.loads(x) for x in left if x.startswith('{"event": "trial"') and x.endswith("\n")]
    assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    return found


def test_killed_at_any_moment_a_run_keeps_what_it_told(tmp_path: Path) -> None:
    chance, path, told = random.Random(), tmp_path / "t.db", set()
    for _ in range(KILLS):
        for event in reported(path, chance.randint(1, 6), chance.random() * 0.5):
            told.add((event["work"], event["kernel"], json.dumps(event["point"]), event["status"]))
    assert len(told) >= KILLS and intact(path)
    with Store(path, write=False) as store:
        texts = {one.key: one.text for one in store.tasks()}
        kept = {
            (texts[one.task], one.kernel, print_point(one.point), str(one.status))
            for one in store.trials()
        }
    assert told <= kept
