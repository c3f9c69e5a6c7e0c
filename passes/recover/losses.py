"""What training makes small: the distance to labels, and to the original network's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from codesign.ir.graph import Graph

Distance = Literal["kl", "mse"]
LEAST = 1e-12


@dataclass(frozen=True)
class Loss:
    """(1 - distill) * cross entropy of the first output + distill * distance to the teacher.

    `kl` is T^2 times the divergence of the first output's class probabilities at temperature T
    (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015, section 2);
    `mse` is the squared error of all outputs over their power. `smoothing` is that of labels
    (Szegedy et al., 2016); `probabilities` says that the first output is a softmax already.
    """

    distill: float
    distance: Distance
    temperature: float
    smoothing: float
    probabilities: bool

    def __call__(
        self, outputs: Sequence[Tensor], labels: Tensor | None, taught: Sequence[Tensor]
    ) -> Tensor:
        """The mean loss of a batch."""
        total = torch.zeros(())
        if self.distill < 1:
            assert labels is not None
            found = self.logits(outputs[0])
            entropy = functional.cross_entropy(found, labels, label_smoothing=self.smoothing)
            total = total + (1 - self.distill) * entropy
        if self.distill > 0:
            total = total + self.distill * self.distance_to(outputs, taught)
        return total

    def logits(self, output: Tensor) -> Tensor:
        """The first output as logits [samples, classes]."""
        flat = output.reshape(len(output), -1).float()
        return flat.clamp_min(LEAST).log() if self.probabilities else flat

    def distance_to(self, outputs: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
        """How far `outputs` are from what was `taught`."""
        if self.distance == "kl":
            t = self.temperature
            mine, yours = (
                functional.log_softmax(self.logits(o[0]) / t, 1) for o in (outputs, taught)
            )
            return t * t * functional.kl_div(mine, yours, log_target=True, reduction="batchmean")
        pairs = [(y.float(), o.float()) for y, o in zip(outputs, taught, strict=True) if _real(y)]
        noise = sum(((y - o).square().sum() for y, o in pairs), torch.zeros(()))
        signal = sum((o.square().sum() for _, o in pairs), torch.zeros(()))
        return noise / signal.clamp_min(LEAST)


def _real(tensor: Tensor) -> bool:
    return tensor.is_floating_point()


def is_softmax(graph: Graph) -> bool:
    """Whether the first output of `graph` is probabilities."""
    node = graph.producers.get(graph.outputs[0])
    return node is not None and node.kind == "softmax"
