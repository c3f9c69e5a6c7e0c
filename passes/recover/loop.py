"""The steps of training, from the first or from where a checkpoint left them."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from codesign.errors import TrainingError
from codesign.interpret.trainee import Trainee
from codesign.passes.recover.batches import Batches
from codesign.passes.recover.checkpoint import Checkpoint, restore, state
from codesign.passes.recover.losses import Loss
from codesign.passes.recover.teacher import Teacher
from codesign.progress import Progress

BEATS = (0.9, 0.999)  # Adam's, and the first as the momentum of SGD


@dataclass(frozen=True)
class Plan:
    """How long and how fast: `rate` rises over the share `warmup` of `steps` and falls to 0.

    The fall is half a cosine (Loshchilov and Hutter, SGDR, 2017). `every` is the seconds between
    two checkpoints.
    """

    steps: int
    rate: float
    warmup: float
    sgd: bool
    weight_decay: float
    every: float

    def share(self, step: int) -> float:
        """The share of the peak rate at `step`."""
        warm = max(1, int(self.warmup * self.steps))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    def optimizer(self, module: Trainee) -> torch.optim.Optimizer:
        """Weight decay pulls at weights alone, never at scales or vectors."""
        named = list(module.named_parameters())
        weights = [p for n, p in named if n.endswith(".weight") and p.dim() > 1]
        others = [p for n, p in named if not (n.endswith(".weight") and p.dim() > 1)]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay, "initial_lr": self.rate},
            {"params": others, "weight_decay": 0.0, "initial_lr": self.rate},
        ]
        if self.sgd:
            return torch.optim.SGD(groups, self.rate, momentum=BEATS[0], nesterov=True)
        return torch.optim.AdamW(groups, self.rate, BEATS)


@dataclass
class Loop:
    """Trains `module` on `batches`; `teacher` answers where the loss asks for it."""

    module: Trainee
    batches: Batches
    loss: Loss
    teacher: Teacher | None
    plan: Plan
    checkpoint: Checkpoint | None
    progress: Progress

    def run(self) -> list[float]:
        """Train to the end; the mean loss of each epoch.

        TrainingError if the loss is not finite.
        """
        optimizer = self.plan.optimizer(self.module)
        done, losses = self.resumed(optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, self.plan.share, last_epoch=done - 1
        )
        with repeatable():
            self.module.train()
            self.train(optimizer, schedule, done, losses)
            self.module.eval()
        size = self.batches.epoch
        return [sum(part) / len(part) for part in _cut(losses, size)]

    def resumed(self, optimizer: torch.optim.Optimizer) -> tuple[int, list[float]]:
        """Steps done before, and their losses."""
        found = self.checkpoint.load() if self.checkpoint is not None else None
        if found is None:
            return 0, []
        done, tensors, said = found
        restore(self.module, optimizer, tensors)
        return done, list(said["losses"])

    def train(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        done: int,
        losses: list[float],
    ) -> None:
        """Steps from `done` on, each loss added to `losses`."""
        size, saved = self.batches.epoch, time.monotonic()
        order = self.batches.order(done // size)
        for step in range(done, self.plan.steps):
            order = self.batches.order(step // size) if step % size == 0 else order
            losses.append(self.step(step, order, optimizer))
            schedule.step()
            self.tell(step, losses)
            if self.checkpoint is None:
                continue
            last = step + 1 == self.plan.steps
            if last or time.monotonic() - saved >= self.plan.every:
                kept = state(self.module, optimizer)
                self.checkpoint.save(step + 1, kept, {"losses": losses})
                saved = time.monotonic()

    def step(self, step: int, order: Tensor, optimizer: torch.optim.Optimizer) -> float:
        """One step of the optimizer; its loss."""
        inputs, labels = self.batches(step, order)
        taught = () if self.teacher is None else self.teacher(inputs)
        loss = self.loss(self.module(*inputs), labels, taught)
        found = float(loss.detach())
        if not math.isfinite(found):
            raise TrainingError(
                f"training diverged: the loss is {found} at step {step + 1} of {self.plan.steps}; "
                f"lower rate (now {self.plan.rate:g}), or lengthen warmup"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return found

    def tell(self, step: int, losses: list[float]) -> None:
        """Say how far it is, and the mean loss of late."""
        size, late = self.batches.epoch, losses[-20:]
        text = f"epoch {step // size + 1} of {-(-self.plan.steps // size)}"
        self.progress(
            f"recover: {text}, loss {sum(late) / len(late):.4f}", (step + 1) / self.plan.steps
        )


def _cut(losses: list[float], size: int) -> Iterator[list[float]]:
    for start in range(0, len(losses), size):
        yield losses[start : start + size]


@contextmanager
def repeatable() -> Iterator[None]:
    """Within, torch computes the same each time, and no slower for tiny numbers."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_flush_denormal(False)
