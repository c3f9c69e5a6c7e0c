"""Points that could be measured: a kernel on the work of a layer, as the fit sees it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from codesign.analysis.estimate import LayerCost
from codesign.errors import CodesignError
from codesign.ir.program import Assignment, Point, Program
from codesign.mapping.place import apart, together
from codesign.mapping.target import Target
from codesign.profile.features import features
from codesign.profile.judgement import label_of
from codesign.profile.process import Array
from codesign.tune.work import Task, tasks_of

WORTH = 3.0  # kernels that are so many times slower than the best by the model are left out
HELD_OUT = 5  # one task in so many is never fitted to


class Seen(Protocol):
    """A point as a fit sees it."""

    @property
    def features(self) -> Array:
        """Sizes and schedule (`codesign.profile.features`)."""

    @property
    def model_ms(self) -> float:
        """What the kernel's model alone says."""

    @property
    def held_out(self) -> bool:
        """Whether it serves to judge the fit alone."""

    @property
    def label(self) -> str:
        """The op and how its operands are stored."""


@dataclass(frozen=True)
class Sample:
    """`kernel` with its default `point` on `task`, and what its model says.

    `network` is the number of the network that it was drawn with.
    """

    task: Task
    kernel: str
    point: Point
    cost: LayerCost
    network: int = 0

    @cached_property
    def features(self) -> Array:
        """What the fit sees."""
        return features(self.task.group, self.cost, self.point)

    @property
    def model_ms(self) -> float:
        """What the kernel's model alone says."""
        return self.cost.latency_ms

    @cached_property
    def held_out(self) -> bool:
        """Whether it serves to judge the fit alone; the same in every run."""
        return hashlib.sha256(self.task.work.encode()).digest()[0] % HELD_OUT == 0

    @property
    def label(self) -> str:
        """The op and how its operands are stored."""
        return label_of(self.task.group)


def samples(program: Program, target: Target, network: int = 0) -> Iterator[Sample]:
    """Every kernel worth measuring for every task of `program` on `target`, models uncorrected."""
    try:
        placed = target.choose_kernels(program)
    except CodesignError:
        return
    choices = [*placed.placement, *_others(placed, target)]
    for task in tasks_of(replace(placed, placement=tuple(choices))):
        group, found = task.group, []
        for kernel in target.by_anchor.get(group.anchor.kind, ()):
            if kernel.refuse(group) is None:
                point = kernel.default(group)
                cost = kernel.cost(group, point)
                found.append(Sample(task, kernel.name, point, cost, network))
        least = min((s.cost.latency_ms for s in found), default=0.0)
        yield from (s for s in found if s.cost.latency_ms <= WORTH * least)


def _others(placed: Program, target: Target) -> Iterator[Assignment]:
    """Layers together where kernels could run several, and the same layers apart."""
    for node in placed.graph.nodes:
        for whole in together(node, placed, target, set()):
            for kernel, group, point in (whole, *(apart(whole[1], target) or ())):
                yield Assignment(kernel.name, group.names, point)
