"""Ctrl-C at an awkward moment: it ends the program, with a sentence and no traceback."""

import gc
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import codesign.cli
from codesign.cli import app
from codesign.cli.interrupts import Interrupts, interrupted
from codesign.errors import CodesignError, PassError
from codesign.profiling.run import Profiler, Settings
from codesign.runtime.host import device
from codesign.tune.journal import Journal
from codesign.tune.store import Store
from tests.cli.running import Cli
from tests.tune.small_task import TARGET


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """Whoever runs the tests in the background has interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Thing:
    """Can be referred to weakly."""


class Finalized:
    """Is interrupted while it is collected."""

    def __del__(self) -> None:
        press()


def press(*ignored: object) -> None:
    """Ctrl-C."""
    signal.raise_signal(signal.SIGINT)
    time.sleep(0)


def in_a_weak_callback() -> None:
    thing = Thing()
    kept = weakref.ref(thing, press)
    del thing
    assert kept() is None


def while_collected() -> None:
    Finalized()
    gc.collect()


def in_foreign_code() -> None:
    try:
        press()
    except KeyboardInterrupt as error:
        raise PassError(f"pass 'x' failed: {type(error).__name__}") from None


def then_wait(moment: Callable[[], None]) -> None:
    moment()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.01)


@pytest.mark.parametrize("swallow", [in_a_weak_callback, while_collected])
def test_what_was_swallowed_comes_again(swallow: Callable[[], None]) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        then_wait(swallow)


def test_other_errors_in_callbacks_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda ignored: told.append(ignored.exc_type))
    thing = Thing()
    with Interrupts():
        kept = weakref.ref(thing, lambda ref: [].pop())
        del thing
    assert kept() is None and told == [IndexError]


@pytest.mark.parametrize("moment", [press, in_a_weak_callback, while_collected, in_foreign_code])
def test_the_program_ends_with_a_sentence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, moment: Callable[[], None]
) -> None:
    monkeypatch.setattr(app, "_invoke", lambda arguments: then_wait(moment))
    done = cli("passes")
    assert done.code == 130 and done.out == ""
    assert done.err == "interrupted; nothing was left half written\n"


def test_only_what_comes_of_an_interrupt_is_taken_for_one() -> None:
    assert interrupted(RuntimeError("KeyboardInterrupt")) and interrupted(KeyboardInterrupt())
    assert not interrupted(CodesignError("odd"))


def test_an_interrupt_before_any_verb_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "run", press)
    with pytest.raises(SystemExit) as left:
        codesign.cli.main(["passes"])
    assert left.value.code == 130


def test_a_profile_of_nothing_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Profiler, "_step", press)
    with Store(tmp_path / "t.db") as store:
        profiler = Profiler(TARGET, Journal(store, TARGET, device(), bare=True), Settings(60))
        with pytest.raises(KeyboardInterrupt):
            profiler.run(lambda message, done: None)
