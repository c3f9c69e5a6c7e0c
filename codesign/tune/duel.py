"""Is a candidate faster than another by more than the noise? Interleaved runs and a sign test.

Both are built once and run in turns, in both orders, so that drift of the clock and other work on
the machine fall on both alike. The one-sided sign test (Dixon and Mood, 1946) asks how likely so
many won rounds are if neither were faster; it assumes nothing of how times are distributed.
"""

from dataclasses import dataclass
from math import comb
from statistics import median

from codesign.ir.program import Point
from codesign.tune.outcome import Outcome, failure
from codesign.tune.timing import Subject, wrong

SIGNIFICANCE = 0.01
Choice = tuple[str, Point]


@dataclass(frozen=True)
class Duel:
    """Seconds of both contenders, round by round; empty if one of them failed, with why."""

    first: tuple[float, ...] = ()
    second: tuple[float, ...] = ()
    message: str = ""

    @property
    def ratio(self) -> float:
        """Median of first / second over the rounds: below 1 if the first is faster."""
        return median(a / b for a, b in zip(self.first, self.second, strict=True))

    @property
    def seconds(self) -> float:
        """Median of the first."""
        return median(self.first)

    @property
    def against(self) -> float:
        """What the second takes where the first takes `seconds`: by the ratio, since a machine that
        changes its speed during a duel moves the medians of both apart."""
        return self.seconds / self.ratio

    @property
    def chance(self) -> float:
        """How likely as many rounds won by the first, or more, were by chance."""
        return sign_test(self.first, self.second)

    @property
    def won(self) -> bool:
        """Whether the first is faster by more than the noise."""
        return bool(self.first) and self.ratio < 1 and self.chance < SIGNIFICANCE


def sign_test(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """P(at least as many rounds are won by `first`) if each is won with probability 1/2.

    Rounds that end equal count for nobody.
    """
    won = sum(a < b for a, b in zip(first, second, strict=True))
    lost = sum(a > b for a, b in zip(first, second, strict=True))
    count = won + lost
    return float(sum(comb(count, k) for k in range(won, count + 1)) / 2**count)


def duel(subject: Subject, first: Choice, second: Choice, rounds: int) -> Duel | Outcome:
    """Run both choices `rounds` times in turns; the first only if it computes what it should.

    What is on record of it may come from another machine, so it is checked where it is to win. An
    Outcome where it cannot be said who wins: the machine lacks something.
    """
    try:
        with subject.built(*first) as one, subject.built(*second) as two:
            problem = wrong(one.outputs(subject.parcel.inputs), subject.parcel)
            if problem:
                return Duel(message=problem)
            one.time(), two.time()
            times: list[tuple[float, float]] = []
            for i in range(rounds):
                if i % 2:
                    b, a = two.time(), one.time()
                else:
                    a, b = one.time(), two.time()
                times.append((a, b))
    except Exception as error:  # noqa: BLE001  (whatever the compiler raises is a candidate's)
        why = failure(error)
        return why if why.status == "unable" else Duel(message=why.message)
    return Duel(tuple(a for a, _ in times), tuple(b for _, b in times))
