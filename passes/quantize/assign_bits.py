"""Widths of weights and activations, layer by layer, from what they cost on the target."""

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from codesign.analysis.ranges import Method
from codesign.errors import UsageError
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.passes.quantize.choice import UNITS, Cost, decibels, no_energy, total, with_rest
from codesign.passes.quantize.forms import Forms
from codesign.passes.quantize.offers import offers
from codesign.passes.quantize.plan import Plan
from codesign.passes.quantize.probes import Errors
from codesign.passes.quantize.refusals import too_dear, too_noisy, unknown_base
from codesign.passes.quantize.regions import Regions
from codesign.passes.quantize.search import SNR_SAMPLES, Found, Search
from codesign.passes.quantize.sensitivity import Table, table
from codesign.passes.quantize.spans import check_options, spans
from codesign.passes.simplify import codes
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.layers import skipped
from codesign.rewrite.pass_ import Need, Pass
from codesign.rewrite.recorder import costs


@dataclass(frozen=True)
class AssignBits(Pass):
    """Give each convolution and linear layer the widths of weights and activations that pay.

    The target lists the pairs of widths that it offers and prices each layer at each of them. A
    weight at one width, or a value that layers read, costs the error at the outputs on calibration
    data with nothing else in codes (`measure=output`, on `probes` samples), or what follows from
    the trace of the Hessian (`measure=hessian`, by `vectors` signs; Dong et al., HAWQ-V2, NeurIPS
    2020). An integer programme then makes the sum of costs least for a bound on the sum of errors,
    or the reverse, exactly. As errors are only nearly additive, the network is measured and the
    bound corrected in at most `rounds` rounds; what was measured is noted. Errors are measured on
    the second half of the calibration data, rounding is fitted to the first.

    `cost` is `latency` (ms), `energy` (uJ) or `bytes` of all constants. `snr` asks for the least
    cost at which the outputs keep this signal-to-noise ratio in dB to the network in float that
    this pass is given. The ledger's ratio is to the model as it came: what passes before this one
    lost, such as pruning, is part of that alone. `budget` asks for the best ratio at this cost,
    `share` at this share of what `base` costs; with `snr` too they are a limit. With none of the
    three the ratio of `base` is kept. `base` is a width for all layers, or `uniform`: the cheapest
    width for all that keeps `snr`, without it the best.

    Layers that read one value, directly or moved, agree on its width; so do those that share a
    weight. What no layer reads gets the widest codes that the target takes. Weights have scales by
    output channel (`per_channel`); below 8 bits these are those of least squared error. Up to 8
    bits each element's rounding is made up for by others (Frantar et al., GPTQ, ICLR 2023), and a
    bias, where there is one, makes up for what rounding does to a layer's mean result (Nagel et
    al., Data-Free Quantization, ICCV 2019). Activations are clipped by `method`. Scales keep sums
    within the target's accumulators, up to four times those that were seen. Layers that `skip`
    names stay in float, as does the whole network where it is no dearer in float, unless `slower`
    allows it or the target computes on codes alone.

    Before:
        %y: tensor<1x4x6x6xf32> = conv(%x, %w, %b)
        %z: tensor<1x4x6x6xf32> = relu(%y)
        %u: tensor<1x2x6x6xf32> = conv(%z, %k)
    After:
        %x.codes: tensor<1x3x8x8xf32, int<8, ...>> = encode(%x)
        %y: tensor<1x4x6x6xf32, int<4, ...>> = conv(%x.codes, %w.int4, %b.int32)
        %z: tensor<1x4x6x6xf32, int<4, ...>> = relu(%y)
        %u: tensor<1x2x6x6xf32> = conv(%z, %k.int4)
    """

    name: ClassVar[str] = "assign-bits"
    needs: ClassVar[frozenset[Need]] = frozenset({"calibration", "target"})
    encodes: ClassVar[bool] = True

    cost: Cost = "latency"
    snr: float | None = None
    budget: float | None = None
    share: float | None = None
    base: int | Literal["uniform"] = 8
    measure: Literal["output", "hessian"] = "output"
    probes: int = 8
    vectors: int = 16
    rounds: int = 8
    method: Method = "mse"
    percentile: float = 99.99
    per_channel: bool = True
    samples: int = 256
    slower: bool = False
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option in ("budget", "share"):
            value = getattr(self, option)
            if value is not None and not 0 < value < inf:
                raise UsageError(f"{self.name}: {option} is {value}, expected more than 0")
        if self.budget is not None and self.share is not None:
            raise UsageError(f"{self.name}: both budget and share are given; give one of them")
        for option in ("probes", "vectors", "rounds"):
            if getattr(self, option) < 1:
                value = getattr(self, option)
                raise UsageError(f"{self.name}: {option} is {value}, expected at least 1")
        check_options(self.name, self.percentile, self.samples)
        if isinstance(self.base, int) and not 2 <= self.base <= 16:
            raise UsageError(f"{self.name}: base is {self.base}, expected 2 to 16 or uniform")

    def run(self, program: Program, context: Context) -> Program:
        plan = self.plan(program, context)
        if plan is None:
            return program
        data, target = self.judges(program.graph, context), context.need_target(self.name)
        if self._needs_base and isinstance(self.base, int) and plan.uniform(self.base) is None:
            raise unknown_base(self.base, plan, target, self.name, self.snr)
        errors = self.errors(plan, context)
        search = Search(plan, errors, self.cost, self.rounds, target, data, context, self.name)
        found = self._chosen(search)
        if not self._pays(search, found):
            return program
        self._tell(search, found)
        return program.with_graph(found.graph)

    @property
    def _needs_base(self) -> bool:
        """Whether what is asked for is relative to `base`."""
        return self.share is not None or (self.snr is None and self.budget is None)

    def sensitivities(self, program: Program, context: Context) -> Table:
        """What each layer alone costs and loses at each pair of widths that the target offers."""
        plan = self.plan(program, context)
        return Table() if plan is None else table(plan, self.errors(plan, context))

    def plan(self, program: Program, context: Context) -> Plan | None:
        """The layers with open widths and the ranges of their values; None if there are none."""
        from codesign.passes.quantize.moments import moments
        from codesign.passes.quantize.sums import sums

        target, data = context.need_target(self.name), context.need_calibration(self.name)
        reach = codes.reach_of(target)
        graph = codes.unify(program.graph, reach)
        left = skipped(graph, self.skip, self.name)
        forms = Forms(graph, self.per_channel, target.accumulator)
        found = offers(graph, left, target, forms, context, self.name)
        if not found:
            return None
        if self.cost == "energy" and any(
            price.energy_uj is None for prices in found.values() for price in prices.values()
        ):
            raise no_energy(target, self.name)
        regions = Regions(graph, frozenset(found))
        how = self.method, self.percentile
        narrow = [name for name, prices in found.items() if min(prices)[0] < 8]
        fitted, _ = self._parts(graph, context)
        forms.moments = moments(graph, list(found), narrow, fitted, context, self.name)
        forms.largest = sums(graph, list(found), data, self.samples)
        ranges = spans(graph, regions, data, self.samples, how, context, self.name)
        return with_rest(Plan(graph, found, regions, forms, ranges, reach, 8), target, self.name)

    def errors(self, plan: Plan, context: Context) -> Errors:
        """What each layer alone does to the outputs, by `measure`."""
        data = self.judges(plan.graph, context)
        if self.measure == "output":
            from codesign.passes.quantize.output_error import output_errors

            return output_errors(plan, data, self.probes, context, self.name)
        from codesign.passes.quantize.hessian import hessian_errors

        return hessian_errors(plan, data, self.probes, self.vectors, context, self.name)

    def _parts(self, graph: Graph, context: Context) -> tuple[Dataset, Dataset]:
        """The samples that rounding is fitted to, and others that say how well it does."""
        batch = graph.types[graph.inputs[0]].shape[0]
        return context.need_calibration(self.name).halves(batch)

    def judges(self, graph: Graph, context: Context) -> Dataset:
        """The samples on which choices are measured."""
        return self._parts(graph, context)[1]

    def _chosen(self, search: Search) -> Found:
        """The best choice for what was asked; RefusedError if none meets it."""
        uniform = self._uniform(search)
        floor, start = self.snr, uniform or search.extreme("error")
        limit = self.budget
        if uniform is None and self._needs_base:
            raise unknown_base(self.base, search.plan, search.target, self.name, self.snr)
        if uniform is not None and self.share is not None:
            limit = self.share * uniform.cost
        if floor is None and limit is not None:
            found = search.best("error", limit, start)
            if found is None:
                raise too_dear(search, limit, search.extreme("cost"))
            return found
        noise = start.noise if floor is None else 10 ** (-floor / 10)
        found = search.best("cost", noise, start)
        if found is None:
            raise too_noisy(search, decibels(noise), search.extreme("error"))
        if limit is not None and found.cost > limit:
            raise too_dear(search, limit, found)
        return found

    def _uniform(self, search: Search) -> Found | None:
        """What `base` means; None if that is not offered, or does not keep `snr`."""
        if isinstance(self.base, int):
            return search.uniform(self.base)
        found = list(search.uniforms.values())
        if self.snr is None:
            return min(found, key=lambda one: one.noise, default=None)
        kept = [one for one in found if one.snr_db >= self.snr]
        return min(kept, key=lambda one: one.cost, default=None)

    def _pays(self, search: Search, found: Found) -> bool:
        """Whether `found` is cheaper than the network in float; noted if not."""
        plain = _plain_cost(search.plan.graph, self.cost, search)
        if self.slower or not search.target.floats or plain is None or found.cost < plain:
            return True
        unit = UNITS[self.cost]
        text = f"stays in float: {plain:.4g} {unit} would be {found.cost:.4g} {unit} in codes"
        for name in search.plan.offers:
            search.context.note(name, text, done=False)
        return False

    def _tell(self, search: Search, found: Found) -> None:
        """Note the widths of each layer, and what was measured of the network."""
        for node in search.plan.layers:
            w, a = pair = found.chosen[node.name]
            alone = decibels(search.errors.alone(node.name, search.plan.root(node), pair))
            text = f"{w}-bit weights, {a}-bit activations; alone {alone:.1f} dB at the outputs"
            search.context.note(node.name, text)
        uniforms = ", ".join(
            f"{width} bits {one.snr_db:.1f} dB {one.cost:.4g} {UNITS[self.cost]}"
            for width, one in search.uniforms.items()
        )
        unit, size = UNITS[self.cost], min(SNR_SAMPLES, search.data.size)
        search.context.note(
            search.plan.graph.output_names[0],
            f"{found.snr_db:.2f} dB measured on {size} samples, to the network that this pass was "
            f"given (the ledger's SNR is to the model as it came), {decibels(found.predicted):.2f} "
            f"by the sum of errors; {found.cost:.4g} {unit}; {len(search.tried)} choices measured; "
            f"one width for all: {uniforms or 'not offered'}",
        )


def _plain_cost(graph: Graph, cost: Cost, search: Search) -> float | None:
    """What the network in float costs; None for bytes, or where the target does not take it."""
    if cost == "bytes":
        return None
    found = costs(Program(graph), search.target, timed=False).estimate
    return None if found is None else total(found, cost)
