"""Interleaved timing, against a clock that the contenders move themselves."""

from collections.abc import Callable

import pytest

from benchmarks.timing import Timing, interleave


class FakeClock:
    """Seconds that pass only when a contender says so; remembers who ran when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, *seconds: float) -> Callable[[], None]:
        calls = 0

        def run() -> None:
            nonlocal calls
            self.now += seconds[calls % len(seconds)]
            calls += 1
            self.log.append(name)

        return run


def test_reports_milliseconds_of_each_contender() -> None:
    clock = FakeClock()
    contenders = {"slow": clock.contender("slow", 0.02), "fast": clock.contender("fast", 0.002)}
    timings = interleave(contenders, rounds=5, sample_seconds=0.01, clock=clock)
    assert timings["slow"].as_json() == {
        "median": 20.0,
        "p10": 20.0,
        "p90": 20.0,
        "rounds": 5,
        "calls": 1,
    }
    assert timings["fast"].median == pytest.approx(2.0)
    assert timings["fast"].calls == 5


def test_percentiles_show_the_spread() -> None:
    clock = FakeClock()
    # warm-up, the sizing call, then an untimed and a timed call a round
    seconds = [0.0, 1.0] + [s for k in range(11) for s in (0.0, k / 1000)]
    timing = interleave(
        {"it": clock.contender("it", *seconds)}, rounds=11, warm_up=1, sample_seconds=0, clock=clock
    )["it"]
    assert (timing.p10, timing.median, timing.p90) == pytest.approx((1.0, 5.0, 9.0))


def test_turns_are_interleaved_and_the_first_turn_rotates() -> None:
    clock = FakeClock()
    contenders = {name: clock.contender(name, 1.0) for name in "abc"}
    interleave(contenders, rounds=3, warm_up=0, clock=clock)
    assert "".join(clock.log) == "abc" + "aabbcc" + "bbccaa" + "ccaabb"


@pytest.mark.parametrize(("rounds", "warm_up"), [(0, 1), (1, -1)])
def test_refuses_counts_that_measure_nothing(rounds: int, warm_up: int) -> None:
    with pytest.raises(ValueError, match="expected rounds >= 1"):
        interleave({}, rounds=rounds, warm_up=warm_up)


def test_real_clock_gives_ordered_percentiles() -> None:
    timing = interleave({"sum": lambda: sum(range(1000))}, rounds=5, sample_seconds=0.0005)["sum"]
    assert isinstance(timing, Timing)
    assert 0 < timing.p10 <= timing.median <= timing.p90
