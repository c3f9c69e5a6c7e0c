"""From errors of layers alone to widths that meet a bound in the composed network.

Errors of layers are nearly additive, not quite. So what the integer programme finds under a bound
is built and measured, and the bound is corrected by how much it was off: tightened where the
network misses what was asked for, loosened where it leaves room, in a bounded number of rounds.
At last the choices near the best one are built and measured as well, some of them.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from codesign.ir.graph import Graph
from codesign.passes.quantize.choice import Cost, as_programme, decibels, named, whole_cost
from codesign.passes.quantize.limit import Limit
from codesign.passes.quantize.neighbours import promising
from codesign.passes.quantize.plan import Chosen, Plan
from codesign.passes.quantize.probes import Errors
from codesign.passes.quantize.programme import Goal, Programme, solve
from codesign.rewrite.context import Context, Dataset, Target
from codesign.rewrite.score import answers, snr_db

SNR_SAMPLES = 32  # of the calibration data, on which choices are measured
NEARBY = 2  # choices near the best one that are measured at last, for each round


@dataclass(frozen=True)
class Found:
    """A choice in the composed network: its `cost`, and the outputs' `noise` over their signal.

    `layers_cost` and `predicted` are the sums that the programme sees of the two.
    """

    chosen: Chosen
    graph: Graph
    cost: float
    noise: float
    layers_cost: float
    predicted: float

    @property
    def snr_db(self) -> float:
        """The measured signal-to-noise ratio of the outputs in dB."""
        return decibels(self.noise)

    def amount(self, what: Goal) -> float:
        """`cost` or `noise`."""
        return self.cost if what == "cost" else self.noise


@dataclass
class Search:
    """Choices for `plan` by the integer programme, each built, priced and measured once."""

    plan: Plan
    errors: Errors
    cost: Cost
    rounds: int
    target: Target
    data: Dataset
    context: Context
    who: str
    tried: dict[tuple[int, ...], Found] = field(default_factory=dict)

    @cached_property
    def programme(self) -> Programme:
        """The choice as numbers."""
        return as_programme(self.plan, self.cost, self.errors)

    @cached_property
    def seen(self) -> Dataset:
        """The samples that choices are measured on."""
        return self.data.spread(SNR_SAMPLES)

    @cached_property
    def reference(self) -> dict[str, np.ndarray]:
        """What the network in float answers."""
        return answers(self.plan.graph, self.seen, SNR_SAMPLES)

    def look(self, picked: tuple[int, ...]) -> Found:
        """The composed network of the options `picked`."""
        if picked not in self.tried:
            share = len(self.tried) / (len(self.tried) + self.rounds)
            self.context.progress(f"{self.who}: measuring a choice", share)
            chosen = named(self.plan, self.programme, picked)
            graph = self.plan.build(chosen)
            found = answers(graph, self.seen, SNR_SAMPLES)
            self.tried[picked] = Found(
                chosen,
                graph,
                whole_cost(graph, self.cost, self.target, self.who),
                10 ** (-snr_db(self.reference, found) / 10),
                self.programme.total(picked, "cost"),
                self.programme.total(picked, "error"),
            )
        return self.tried[picked]

    def uniform(self, width: int) -> Found | None:
        """Every layer at `width` bits, None where that is not offered."""
        chosen = self.plan.uniform(width)
        if chosen is None:
            return None
        keys = ([o.key for o in item] for item in self.programme.items)
        return self.look(tuple(k.index(p) for k, p in zip(keys, chosen.values(), strict=True)))

    @cached_property
    def uniforms(self) -> dict[int, Found]:
        """The widths that all layers are offered for weights and activations alike."""
        found = {width: self.uniform(width) for width in range(2, 17)}
        return {width: one for width, one in found.items() if one is not None}

    def extreme(self, least: Goal) -> Found:
        """The choice of the least cost, or the least error, that there is."""
        picked = solve(self.programme, least)
        assert picked is not None  # a plan has a choice
        return self.look(picked)

    def best(self, minimise: Goal, bound: float, start: Found) -> Found | None:
        """The least `minimise` whose other amount is within `bound`; None if none was seen.

        Uniform widths are looked at too, as they may meet a bound by luck. `start` says how far
        sums and the composed network differ.
        """
        other: Goal = "error" if minimise == "cost" else "cost"
        limit = Limit(bound, _on_sums(bound, start, other))
        for _ in range(self.rounds):
            picked = solve(self.programme, minimise, limit.asked)
            if picked is None:
                if not limit.loosen():
                    break
            elif not limit.learn(self.look(picked).amount(other)):
                break
        seen = (*self.uniforms.values(), *self.tried.values())
        met = [f for f in seen if f.amount(other) <= bound]
        found = min(met, key=lambda f: (f.amount(minimise), f.amount(other)), default=None)
        return None if found is None else self._nearby(found, minimise, bound)

    def _nearby(self, found: Found, minimise: Goal, bound: float) -> Found:
        """The best of `found` and choices near it, of which `NEARBY` a round are measured."""
        other: Goal = "error" if minimise == "cost" else "cost"
        for _ in range(NEARBY * self.rounds):
            within = _on_sums(bound, found, other)
            near = promising(self.programme, self._picked(found), minimise, within)
            new = next((one for one in near if one not in self.tried), None)
            if new is None:
                break
            made = self.look(new)
            if made.amount(other) <= bound and made.amount(minimise) < found.amount(minimise):
                found = made
        return found

    def _picked(self, found: Found) -> tuple[int, ...]:
        """The options that make `found`."""
        return next(picked for picked, one in self.tried.items() if one is found)


def _on_sums(bound: float, start: Found, what: Goal) -> float:
    """The bound on the sums that goes with `bound` in the composed network, as `start` shows."""
    if what == "cost":
        return bound - (start.cost - start.layers_cost)
    return bound * start.predicted / start.noise if start.noise > 0 else bound
