"""The checks that every target has to pass, over every sample and width that it offers.

spec: the text of a target rebuilds it. kernels: they start from ops that there are. refuse: a
refusal says demand and bound. place: samples get kernels, or an answer why not. widths: what is
offered is taken somewhere. text: a placed program reads back from its text. verify: the target
takes what it placed. cost: figures are finite and not negative. grows: more samples, channels or
bits cost no less. run: every kernel that takes a part of a sample, and the sample as it is placed,
compute what the interpreter does: floats to `TOLERANCE` of the largest, codes in every bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from typing import Any

from codesign import plugins
from codesign.contract.cases import Case, cases, shown
from codesign.contract.costs import Price, no_less, sound, wider
from codesign.contract.rows import BrokenError, DeclinedError, Row, tried
from codesign.contract.running import compare
from codesign.contract.samples import SAMPLES, Sample
from codesign.contract.work import Refused, Work, asked
from codesign.errors import UnknownNameError, UnsupportedModelError
from codesign.ir.graph import Graph
from codesign.ir.ops import OPS
from codesign.ir.parse import parse_program
from codesign.ir.program import Program
from codesign.ir.text import named_constants, print_program
from codesign.mapping.kernel import Widths
from codesign.mapping.target import Target
from codesign.progress import Progress, silent

CHANGES = {"twice the batch": (2, 1), "twice the output channels": (1, 2)}


@dataclass(frozen=True)
class Report:
    """All rows of a target."""

    target: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(row.outcome != "failed" for row in self.rows)

    def json(self) -> dict[str, Any]:
        """`{"target", "ok", "checks": [...]}`."""
        return {"target": self.target, "ok": self.ok, "checks": [row.json() for row in self.rows]}


def check_target(target: Target, only: str = "*", progress: Progress = silent) -> Report:
    """What `target` keeps of what every target promises, on the samples that match `only`.

    UnknownNameError if there is none.
    """
    samples = [sample for sample in SAMPLES if fnmatch(sample.name, only)]
    if not samples:
        raise UnknownNameError("sample", only, [sample.name for sample in SAMPLES])
    return Report(target.spec, tuple(_Suite(target, progress).rows(samples)))


@dataclass
class _Suite:
    """The checks of one target.

    `done` is the work that ran already; `offered` are the kinds and widths that samples had, and
    whether any was placed.
    """

    target: Target
    progress: Progress
    done: set[tuple[str, str]] = field(default_factory=set)
    offered: dict[tuple[str, Widths], bool] = field(default_factory=dict)

    def rows(self, samples: Sequence[Sample]) -> Iterator[Row]:
        yield tried("spec", "", "", self.rebuilt)
        yield tried("kernels", "", "", self.known)
        for i, sample in enumerate(samples):
            every: list[Case] = []
            row = tried("widths", sample.name, "", partial(self.listed, sample, every))
            if row.outcome != "ok":
                yield row
            priced: dict[Widths, Price] = {}
            for j, case in enumerate(every):
                self.progress(case.name, (i + j / len(every)) / len(samples))
                yield from self.of_case(case, priced)
            if len(priced) > 1:
                yield tried("grows", f"{sample.name}, bits", "", partial(self.bits, priced))
        for (kind, pair), taken in sorted(self.offered.items()):
            name = f"{kind}, {shown(pair)}"
            yield tried("widths", name, "", partial(self.taken, taken))

    def of_case(self, case: Case, priced: dict[Widths, Price]) -> Iterator[Row]:
        """All checks of a case; what it costs goes to `priced`."""
        graph, found = case.graph(), list[Program]()
        work, prices = list[Work](), list[Price]()
        yield tried("refuse", case.name, "", partial(self.worded, graph, work))
        yield tried("place", case.name, "", partial(self.placed, graph, found))
        if case.widths is not None:
            for kind in case.layers:
                key = kind, case.widths
                self.offered[key] = self.offered.get(key, False) or bool(found)
        for program in found:
            yield tried("text", case.name, "", partial(self.reread, program))
            yield tried("verify", case.name, "", partial(self.verified, program))
            yield tried("cost", case.name, "", partial(self.priced, program, prices))
            yield tried("run", case.name, "", partial(self.whole, program))
        for price in prices:
            if case.widths is not None:
                priced[case.widths] = price
            for change in CHANGES if case.grown else ():
                name = f"{case.name}, {change}"
                yield tried("grows", name, "", partial(self.more, case, price, change))
        for one in work:
            yield from self.of_work(case.name, one)

    def of_work(self, name: str, work: Work) -> Iterator[Row]:
        """The checks of a kernel on a group, once for the same work."""
        if work.key in self.done:
            return
        self.done.add(work.key)
        where, kernel = f"{name}, %{work.group.name}", work.kernel.name
        yield tried("cost", where, kernel, partial(self.kernel_cost, work))
        yield tried("run", where, kernel, partial(self.alone, work))

    def rebuilt(self) -> str:
        """The text of the target makes an equal one."""
        twin: Target = plugins.make("target", self.target.spec)
        if twin.spec != self.target.spec or twin != self.target:
            raise BrokenError(f"{self.target.spec!r} makes another target: {twin.spec}")
        return ""

    def known(self) -> str:
        """Kernels have names of their own and anchors that are kinds of ops."""
        names = [kernel.name for kernel in self.target.kernels]
        for kernel in self.target.kernels:
            if names.count(kernel.name) > 1:
                raise BrokenError(f"{names.count(kernel.name)} kernels are called {kernel.name}")
            if strange := sorted(kernel.anchors - OPS.keys()):
                raise BrokenError(f"{kernel.name} starts from {', '.join(strange)}: no kind of op")
        return ""

    def listed(self, sample: Sample, every: list[Case]) -> str:
        """What the target offers for a sample."""
        every += cases(sample, self.target)
        return ""

    def taken(self, taken: bool) -> str:
        """What is offered is taken."""
        if not taken:
            raise BrokenError("these widths are offered, but no sample is taken in them")
        return ""

    def worded(self, graph: Graph, work: list[Work]) -> str:
        """Every refusal says what was demanded and which bound it breaks; what is taken, listed."""
        found = list(asked(graph, self.target))
        for one in found:
            if isinstance(one, Refused) and not (
                one.refusal.demand.strip() and one.refusal.bound.strip()
            ):
                raise BrokenError(
                    f"{one.kernel} refuses %{one.node} without demand or bound: {one.refusal}"
                )
        work += [one for one in found if isinstance(one, Work)]
        return ""

    def placed(self, graph: Graph, found: list[Program]) -> str:
        """Every op gets a kernel, or all kernels refuse one."""
        try:
            found.append(self.target.place(Program(graph)))
        except UnsupportedModelError as error:
            raise DeclinedError(str(error)) from None
        return ""

    def reread(self, program: Program) -> str:
        """The text of a placed program reads back as that program."""
        if parse_program(print_program(program), named_constants(program.graph)) != program:
            raise BrokenError("the text of the placed program reads back as another program")
        return ""

    def verified(self, program: Program) -> str:
        """The target still takes what it placed."""
        self.target.verify(program)
        return ""

    def priced(self, program: Program, prices: list[Price]) -> str:
        """Costs of all layers as placed."""
        estimate = self.target.estimate(program)
        for layer in estimate.layers:
            sound(layer)
        prices.append(Price.of(estimate))
        return ""

    def more(self, case: Case, price: Price, change: str) -> str:
        """A larger case costs no less."""
        try:
            program = self.target.place(Program(case.graph(*CHANGES[change])))
        except UnsupportedModelError as error:
            raise DeclinedError(str(error)) from None
        large = Price.of(self.target.estimate(program))
        return no_less(large, price, change, self.target.minimizes)

    def bits(self, priced: dict[Widths, Price]) -> str:
        """Wider codes cost no less."""
        remarks = []
        for many, few in wider(priced):
            change, minimized = f"{shown(many)} for {shown(few)}", self.target.minimizes
            remarks.append(no_less(priced[many], priced[few], change, minimized))
        return "; ".join(filter(None, remarks))

    def kernel_cost(self, work: Work) -> str:
        """The cost of a kernel alone."""
        sound(self.target.modelled(work.kernel, work.group, work.kernel.default(work.group)))
        return ""

    def alone(self, work: Work) -> str:
        """A kernel computes what its group means."""
        program = work.program(self.target)
        self.target.verify(program)
        compare(program, self.target, work.exact)
        return ""

    def whole(self, program: Program) -> str:
        """All kernels together compute what the graph means."""
        codes = any(kind.integer is not None for kind in program.graph.types.values())
        compare(program, self.target, exact=codes)
        return ""
