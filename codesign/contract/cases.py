"""What a target is tried on: each sample in float, and in codes of all widths that it offers."""

from dataclasses import dataclass

from codesign.contract.coded import LAYERS, coded
from codesign.contract.samples import Sample
from codesign.ir.graph import Graph
from codesign.mapping.kernel import Widths
from codesign.mapping.target import Target


@dataclass(frozen=True)
class Case:
    """A sample in float (`widths` None) or in codes; with `grown` larger ones are tried too."""

    sample: Sample
    widths: Widths | None = None
    grown: bool = True

    @property
    def name(self) -> str:
        """The sample, and the bits of its weights and activations."""
        return f"{self.sample.name}, {shown(self.widths)}"

    @property
    def layers(self) -> frozenset[str]:
        """The kinds of its ops that can be on codes."""
        return LAYERS & {node.kind for node in self.graph().nodes}

    def graph(self, batch: int = 1, times: int = 1) -> Graph:
        """The graph for `batch` samples with `times` as many output channels."""
        plain = self.sample.graph(batch, times)
        return plain if self.widths is None else coded(plain, self.widths)


def cases(sample: Sample, target: Target) -> list[Case]:
    """In codes as `target` offers them; in float where it takes floats, or offers none for it.

    Of widths the largest pair is tried on more work too.
    """
    kinds = Case(sample).layers
    pairs = sorted({pair for kind in kinds for pair in target.widths(kind)})
    plain = [Case(sample)] if target.floats or not pairs else []
    return [*plain, *(Case(sample, pair, pair == pairs[-1]) for pair in pairs)]


def shown(widths: Widths | None) -> str:
    """Widths of weights and activations in words."""
    return "float" if widths is None else "{}x{} bits".format(*widths)
