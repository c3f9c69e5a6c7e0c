"""What was built and measured last, so that asking twice about a program costs nothing."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from codesign.analysis.estimate import Estimate
from codesign.ir.program import Program
from codesign.runtime.built import Built
from codesign.targets.tvm.target import Cpu

T = TypeVar("T")
Key = tuple[str, str]
BUILDS = 2  # each holds its packed weights
ESTIMATES = 64

_built: OrderedDict[Key, Built] = OrderedDict()
_measured: OrderedDict[Key, Estimate | None] = OrderedDict()


def built(program: Program, target: Cpu) -> Built:
    """`program` compiled for `target`, from memory if it was among the last."""
    from codesign.targets.tvm.build import build

    return _remember(_built, BUILDS, program, target, lambda: build(program, target))


def measured(program: Program, target: Cpu) -> Estimate | None:
    """`program` timed on `target`, from memory if it was before."""
    from codesign.targets.tvm.measure import measure

    return _remember(_measured, ESTIMATES, program, target, lambda: measure(program, target))


def _remember(
    kept: "OrderedDict[Key, T]", limit: int, program: Program, target: Cpu, make: Callable[[], T]
) -> T:
    """`make()`, or what it gave before; text names constants by content, so it is identity."""
    key = target.spec, str(program)
    if key not in kept:
        kept[key] = make()
    kept.move_to_end(key)
    while len(kept) > limit:
        kept.popitem(last=False)
    return kept[key]
