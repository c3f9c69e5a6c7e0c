"""Refusing a pass that does not pay: what `--require-speedup` asks."""

from dataclasses import dataclass

from codesign.errors import UsageError
from codesign.ir.program import Program
from codesign.rewrite.context import Target
from codesign.rewrite.recorder import costs


@dataclass(frozen=True)
class Verdict:
    """Whether a pass pays, how many times faster it made the program (None: unknown), and why."""

    pays: bool
    ratio: float | None
    text: str


def verdict(before: Program, after: Program, target: Target | None, least: float) -> Verdict:
    """Whether `after` is at least `least` times as fast as `before` on `target`.

    Both are taken as they would run, with kernels and layouts chosen; by measurement where the
    target runs here, else by prediction. UsageError without a target.
    """
    if target is None:
        raise UsageError("a speed-up is required, but no target is given to see it on")
    one, two = (costs(program, target, timed=True) for program in (before, after))
    if one.estimate is None or two.estimate is None:
        return Verdict(False, None, f"cannot be compared: {one.remark or two.remark}")
    measured = one.measured is not None and two.measured is not None
    old, new = (c.measured if c.measured and measured else c.estimate for c in (one, two))
    assert old is not None and new is not None
    how = "measured" if measured else "predicted"
    ratio = old.latency_ms / new.latency_ms if new.latency_ms else float("inf")
    text = (
        f"{how} {old.latency_ms:.4g} ms before and {new.latency_ms:.4g} ms after is {ratio:.2f}x, "
        f"{least:g}x is required"
    )
    return Verdict(new.latency_ms * least <= old.latency_ms, ratio, text)
