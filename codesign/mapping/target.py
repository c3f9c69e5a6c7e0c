"""The contract of a target: kernels, and everything that follows from them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

from codesign.analysis.estimate import Estimate, LayerCost
from codesign.errors import RefusedError
from codesign.ir.encodings.integer import ACCUMULATOR_BITS
from codesign.ir.encodings.tiled import Tiled
from codesign.ir.program import Point, Program
from codesign.ir.types import TensorType
from codesign.mapping.emitted import Emitted
from codesign.mapping.group import Group
from codesign.mapping.kernel import Kernel, Widths
from codesign.mapping.records import NO_CORRECTION, NO_RECORDS, Correction, Known, Records
from codesign.mapping.workload import signature
from codesign.runtime.built import Built

Hardware = tuple[Mapping[str, Any], Sequence[str]]  # what a machine is, as JSON and in lines


class Target(ABC):
    """A machine with its kernels. Subclasses are frozen dataclasses whose fields are options."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def spec(self) -> str:
        """The text that names this target, options included."""

    @property
    @abstractmethod
    def kernels(self) -> Sequence[Kernel]:
        """The kernels, in order of preference at equal cost."""

    @abstractmethod
    def tile(self, kind: TensorType) -> Tiled | None:
        """The blocked layout that this target's kernels want for values of type `kind`, if any."""

    @property
    def hardware(self) -> Hardware | None:
        """What the machine is that a description of it says; None where there is none."""
        return None

    @property
    def threads(self) -> int:
        """How many threads a run takes."""
        return 1

    @property
    def records(self) -> Records:
        """What was measured of schedules on this target; nothing unless `informed`."""
        found: Records = self.__dict__.get("_records", NO_RECORDS)
        return found

    @property
    def correction(self) -> Correction:
        """How the device departs from the kernels' models; not at all unless `informed`."""
        found: Correction = self.__dict__.get("_correction", NO_CORRECTION)
        return found

    def informed(
        self, records: Records | None = None, correction: Correction | None = None
    ) -> Self:
        """This target, choosing by `records` where they know the work, else by corrected costs."""
        if records is None and correction is None:
            return self
        twin = copy(self)
        if records is not None:
            object.__setattr__(twin, "_records", records)
        if correction is not None:
            object.__setattr__(twin, "_correction", correction)
        return twin

    def cost(self, kernel: Kernel, group: Group, point: Point) -> LayerCost:
        """What `group` costs with `point`: as measured alone, else by the corrected model."""
        cost = self.modelled(kernel, group, point)
        known = self.known(group)
        if known is None or (known.kernel, known.point) != (kernel.name, point):
            return cost
        return _as_measured(cost, known.latency_ms)

    def modelled(self, kernel: Kernel, group: Group, point: Point) -> LayerCost:
        """What `group` costs with `point` by the corrected model, whatever is on record."""
        return self.correction.corrected(kernel.name, group, point, kernel.cost(group, point))

    def known(self, group: Group) -> Known | None:
        """The best schedule on record for `group`."""
        if self.records is NO_RECORDS:
            return None
        return self.records.best(signature(group))

    @cached_property
    def by_name(self) -> Mapping[str, Kernel]:
        """Kernels by name."""
        return {kernel.name: kernel for kernel in self.kernels}

    @cached_property
    def by_anchor(self) -> Mapping[str, Sequence[Kernel]]:
        """Kernels by the kind of their anchor."""
        found: dict[str, list[Kernel]] = {}
        for kernel in self.kernels:
            for kind in sorted(kernel.anchors):
                found.setdefault(kind, []).append(kernel)
        return found

    def widths(self, kind: str) -> tuple[Widths, ...]:
        """The (weight, activation) bits that this target offers for ops of `kind`, narrow first.

        None where it computes on floats alone. A layer that is offered may still be refused by
        every kernel for its shape, as any group may.
        """
        found = {pair for kernel in self.by_anchor.get(kind, ()) for pair in kernel.widths}
        return tuple(sorted(found))

    def choose_kernels(self, program: Program) -> Program:
        """`program` without layouts, with the cheapest kernel for every op."""
        from codesign.mapping.place import place
        from codesign.rewrite.unscheduled import without_layouts

        return place(without_layouts(program), self)

    def choose_layouts(self, program: Program) -> Program:
        """A placed `program` with a layout for every value."""
        from codesign.mapping.layout import choose_layouts

        return choose_layouts(program, self)

    def place(self, program: Program) -> Program:
        """`program` with a kernel for every op and layouts chosen, as it would run."""
        return self.choose_layouts(self.choose_kernels(program))

    def estimate(self, program: Program) -> Estimate:
        """What each layer of a placed program costs, and what other kernels would for it."""
        layers = []
        for assignment in program.placement:
            group = Group(program.graph, program.nodes_of(assignment))
            cost = self.cost(self.by_name[assignment.kernel], group, assignment.point)
            others = self._alternatives(group, assignment.kernel)
            layers.append(replace(cost, alternatives=others))
        return Estimate(tuple(layers), self.remarks(program))

    def remarks(self, program: Program) -> tuple[str, ...]:
        """What has to be said of the costs of a placed program."""
        return ()

    def _alternatives(self, group: Group, chosen: str) -> dict[str, float]:
        """Latency of `group` in ms by the name of every other kernel that takes it; by the model.

        For several layers in one kernel also those of the kernels that would run them apart.
        """
        from codesign.mapping.place import parted

        found = parted(group, self)
        for kernel in self.by_anchor.get(group.anchor.kind, ()):
            if kernel.name != chosen and kernel.refuse(group) is None:
                found[kernel.name] = self.modelled(kernel, group, kernel.default(group)).latency_ms
        return found

    @property
    def counts_zeros(self) -> bool:
        """Whether costs depend on how many elements of feature maps are zero."""
        return False

    def seen(self, densities: Mapping[str, float]) -> Self:
        """This target, pricing values by their names with these shares that are not zero."""
        return self

    @property
    def accumulator(self) -> int:
        """Bits that sums of products of codes have to fit."""
        return ACCUMULATOR_BITS

    @property
    def floats(self) -> bool:
        """Whether layers may stay in float: if not, codes need not pay to be taken."""
        return True

    @property
    def minimizes(self) -> frozenset[str]:
        """What schedules are chosen for, of "latency" and "energy": more work takes no less of it.

        Neither where a machine's own compiler follows other rules, which may treat a larger layer
        better than a smaller one.
        """
        return frozenset({"latency", "energy"})

    def explained(self, program: Program, layer: str) -> dict[str, Any]:
        """What the kernel of `layer` in a placed program says of its schedule."""
        assignment = program.assignment_of[layer]
        group = Group(program.graph, program.nodes_of(assignment))
        return self.by_name[assignment.kernel].explained(group, assignment.point)

    def runs_here(self) -> bool:
        """True if this machine can run, and so measure, what is built for this target."""
        return False

    def unlinkable(self) -> str:
        """Why what is built here could not be sent to another machine; empty if it could."""
        return ""

    def measure(self, program: Program) -> Estimate | None:
        """Measured cost of each layer of a placed program; None where it cannot run here."""
        return None

    def build(self, program: Program) -> Built:
        """Code, plan and packed weights of a placed program; RefusedError if there is no code."""
        raise RefusedError(
            f"target {self.spec} estimates costs and makes no code, so there is nothing to build; "
            "use `codesign estimate` with it"
        )

    def emitted(self, program: Program) -> Emitted:
        """A placed program as a description of hardware; RefusedError where a target makes none."""
        raise RefusedError(
            f"target {self.spec} makes no hardware: its machine exists, or is modelled alone; "
            "compile for a target that generates engines (finn, xne)"
        )

    def verify(self, program: Program, layouts: bool = True) -> None:
        """RefusedError unless each kernel still accepts its nodes, with their types and `layouts`.

        Between choosing kernels and choosing layouts a program is valid but for its layouts.
        """
        for assignment in program.placement:
            kernel = self.by_name.get(assignment.kernel)
            if kernel is None:
                raise RefusedError(f"target {self.spec} has no kernel {assignment.kernel}")
            group = Group(program.graph, program.nodes_of(assignment))
            refusal = kernel.refuse(group)
            if refusal is not None:
                raise RefusedError(f"{kernel.name} no longer takes %{group.name}: {refusal}")
            if layouts:
                self._verify_layouts(kernel, group)

    def tied(self, group: Group, value: str) -> bool:
        """True if `value` of an agnostic group must be in the layout of the group's result.

        Values of another rank, and those that an element-wise op broadcasts along the blocked axis,
        stay plain. Other ops broadcast nothing: a part of one channel that they join is no less a
        part.
        """
        kind, out, anchor = group.type(value), group.output_type, group.anchor
        tile = self.tile(kind)
        if tile is None or kind.rank != out.rank:
            return False
        if not anchor.op.elementwise and value in (*anchor.operands, *anchor.outputs):
            return True
        return kind.shape[tile.axis] != 1 or out.shape[tile.axis] == 1

    def _verify_layouts(self, kernel: Kernel, group: Group) -> None:
        want = kernel.layouts(group)
        if want is None:
            self._verify_tied(kernel, group)
            return
        for value, layout in want.items():
            have = group.type(value).layout
            if have != layout:
                raise RefusedError(
                    f"{kernel.name} %{group.name} needs %{value} in layout {layout}, it has {have}"
                )

    def _verify_tied(self, kernel: Kernel, group: Group) -> None:
        """RefusedError unless the tied values are all plain or all blocked as this target does."""
        values = [v for v in (*group.variables, *group.outputs) if self.tied(group, v)]
        found = {v: group.type(v).layout for v in values}
        blocked = {v for v, layout in found.items() if layout is not None}
        strange = any(found[v] != self.tile(group.type(v)) for v in blocked)
        if strange or 0 < len(blocked) < len(found):
            layouts = ", ".join(f"%{v} {layout}" for v, layout in found.items())
            raise RefusedError(f"{kernel.name} %{group.name} mixes layouts: {layouts}")


def _as_measured(cost: LayerCost, latency_ms: float) -> LayerCost:
    """A modelled `cost` with a measured latency, and cycles and utilization that follow from it."""
    slower = latency_ms / cost.latency_ms if cost.latency_ms > 0 else 1.0
    return replace(
        cost,
        latency_ms=latency_ms,
        cycles=cost.cycles * slower,
        utilization=cost.utilization / slower,
        origin="tuned",
        error=None,
        model_ms=cost.latency_ms,
    )
