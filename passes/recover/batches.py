"""The samples of each step of training, shuffled and varied by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codesign.errors import UsageError
from codesign.interpret.arrays import to_torch
from codesign.rewrite.context import Dataset

PIXELS = 4  # axes of an input of images: [samples, channels, rows, columns]


@dataclass(frozen=True)
class Batches:
    """Batches of `size` of `data`: every sample once an epoch in random order, the rest left out.

    What random numbers a step uses follows from `seed` and its number alone, so that training goes
    on from anywhere as if it had never stopped. Images are moved by up to `shift` pixels each way,
    their borders repeated, and half of them mirrored with `flip`.
    """

    data: Dataset
    names: tuple[str, ...]
    size: int
    seed: int
    shift: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        images = [n for n in self.names if self.data.inputs[n].ndim == PIXELS]
        if (self.shift or self.flip) and len(images) != 1:
            raise UsageError(
                "recover: shift and flip vary images, but the model has "
                f"{len(images)} inputs [samples, channels, rows, columns]; leave them out"
            )

    @property
    def epoch(self) -> int:
        """Steps of an epoch."""
        return self.data.size // self.size

    def order(self, epoch: int) -> Tensor:
        """The samples in the order of this epoch."""
        return torch.randperm(self.data.size, generator=_random(self.seed, 0, epoch))

    def __call__(self, step: int, order: Tensor) -> tuple[list[Tensor], Tensor | None]:
        """Inputs, in the order of `names`, and labels of step `step`, in whose epoch is `order`."""
        start = step % self.epoch * self.size
        chosen = order[start : start + self.size].numpy()
        inputs = [to_torch(self.data.inputs[name][chosen]) for name in self.names]
        labels = self.data.labels
        found = None if labels is None else torch.from_numpy(labels[chosen].astype(np.int64))
        random = _random(self.seed, 1, step)
        return [self.varied(x, random) for x in inputs], found

    def varied(self, x: Tensor, random: torch.Generator) -> Tensor:
        """Images moved and mirrored; anything else as it is."""
        if x.dim() != PIXELS:
            return x
        if not (self.shift or self.flip):
            return x.contiguous(memory_format=torch.channels_last)
        n, _, height, width = x.shape
        moves = torch.randint(-self.shift, self.shift + 1, (2, n, 1), generator=random)
        rows = (torch.arange(height) + moves[0]).clamp_(0, height - 1)
        columns = (torch.arange(width) + moves[1]).clamp_(0, width - 1)
        if self.flip:
            mirrored = torch.rand((n, 1), generator=random) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        found = x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return found.permute(0, 3, 1, 2)


def _random(seed: int, what: int, number: int) -> torch.Generator:
    """A generator of its own for each purpose and number."""
    drawn = np.random.SeedSequence((seed, what, number)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(drawn) & (2**63 - 1))


def check_labels(labels: np.ndarray, classes: int) -> None:
    """UsageError if a label is none of so many classes."""
    if labels.size and int(labels.max()) >= classes:
        raise UsageError(
            f"recover: a label of the training data is {int(labels.max())}, but the model's first "
            f"output has {classes} classes; expected 0 to {classes - 1}"
        )


def arrays(data: Dataset) -> Mapping[str, np.ndarray]:
    """All arrays of `data`, labels too."""
    return {**data.inputs, **({} if data.labels is None else {" labels": data.labels})}
