"""Times contenders against each other in one process, their turns interleaved."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

Clock = Callable[[], float]
Call = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call: the median and the 10th and 90th percentile of `rounds` samples."""

    median: float
    p10: float
    p90: float
    rounds: int
    calls: int

    def as_json(self) -> dict[str, float]:
        """The numbers by name, rounded to 0.1 microseconds."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def interleave(
    contenders: Mapping[str, Call],
    *,
    rounds: int = 15,
    warm_up: int = 3,
    sample_seconds: float = 0.005,
    clock: Clock = time.perf_counter,
) -> dict[str, Timing]:
    """Gives every contender one sample a round, the order turning from round to round.

    Noise that lasts longer than a round, such as a busy neighbour or a falling clock rate, then
    falls on all alike. A sample is one untimed call, which brings the contender's data back into
    the caches, then as many timed calls as fill `sample_seconds`.
    """
    if rounds < 1 or warm_up < 0:
        raise ValueError(f"expected rounds >= 1 and warm_up >= 0, got {rounds} and {warm_up}")
    calls = {
        name: _calls_in(sample_seconds, call, warm_up, clock) for name, call in contenders.items()
    }
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        start = turn % max(1, len(names))
        for name in names[start:] + names[:start]:
            contenders[name]()
            samples[name].append(_seconds_a_call(contenders[name], calls[name], clock))
    return {name: _summary(samples[name], calls[name]) for name in names}


def _calls_in(seconds: float, call: Call, warm_up: int, clock: Clock) -> int:
    for _ in range(warm_up):
        call()
    once = _seconds_a_call(call, 1, clock)
    return max(1, round(seconds / once)) if once > 0 else 1


def _seconds_a_call(call: Call, count: int, clock: Clock) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count


def _summary(samples: list[float], calls: int) -> Timing:
    p10, median, p90 = np.percentile(np.array(samples) * 1e3, (10, 50, 90))
    return Timing(float(median), float(p10), float(p90), len(samples), calls)
