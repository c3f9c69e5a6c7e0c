"""Fine-tuning of what compression left, taught by the network as it was."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from codesign import spec
from codesign.errors import RefusedError, UsageError
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.rewrite.context import Context, Dataset
from codesign.rewrite.pass_ import Need, Pass
from codesign.rewrite.rebatch import rebatch

SHARE_TAUGHT = 0.5  # of the loss, where there are labels


@dataclass(frozen=True)
class Recover(Pass):
    """Train weights, batch norms and scales for the codes and zeros that layers have now.

    Weights are rounded, values too, in every step, and gradients pass straight through
    (Courbariaux et al., 2016); what a structure leaves out stays zero. The scales of integers are
    learned with `learn_steps` (Esser et al., LSQ, 2020) and written back to the encodings; those of
    binary and ternary weights follow the weights, but a scale of 1 stays. `surrogate` is the slope
    with which gradients pass one-bit values: 1 near the step (`clip`), or falling with the distance
    from it (`triangle`; Liu et al., Bi-Real Net, 2018). Float weights that were rounded before are
    taken from the network as it came. Batch norms use the statistics of each batch and mix them
    into the running ones by `momentum`; 0 leaves them as they are.

    The share `distill` of the loss is the distance to the answers of the network as it came, the
    rest that to the labels (0.5, or 1 without labels): `kl` is the divergence of class
    probabilities at `temperature` (Hinton et al., 2015), `mse` the error of all outputs over their
    power. The `rate` of `optimizer` rises over the share `warmup` of all steps and falls as a
    cosine. Images may be moved by up to `shift` pixels and mirrored (`flip`).

    The same seed gives the same weights for one number of threads. With `checkpoint` (a file) what
    was reached is kept every `save_seconds` and at the end, and training that was cut off goes on
    from there, bit for bit.

    Before:
        %z: tensor<1x8x6x6xf32> = relu(%x)
        %z.bits: tensor<1x8x6x6xf32, int<1, ...>> = encode(%z)
        %u: tensor<1x8x4x4xf32> = conv(%z.bits, %k.binary)
    After:
        const %k.binary: tensor<8x8x3x3xf32, binary<..., axis=0>> = ...
        %z: tensor<1x8x6x6xf32> = relu(%x)
        %z.bits: tensor<1x8x6x6xf32, int<1, ...>> = encode(%z)
        %u: tensor<1x8x4x4xf32> = conv(%z.bits, %k.binary)
    """

    name: ClassVar[str] = "recover"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    trains: ClassVar[bool] = True

    epochs: int = 10
    rate: float = 2e-3
    batch: int = 128
    warmup: float = 0.05
    optimizer: Literal["adam", "sgd"] = "adam"
    weight_decay: float = 0.0
    distill: float | None = field(default=None, metadata={"unset": "0.5, without labels 1"})
    distance: Literal["kl", "mse"] | None = field(
        default=None, metadata={"unset": "kl, without labels mse"}
    )
    temperature: float = 2.0
    smoothing: float = 0.0
    learn_steps: bool = True
    surrogate: Literal["clip", "triangle"] = "clip"
    momentum: float = 0.1
    shift: int = 0
    flip: bool = False
    checkpoint: str | None = None
    save_seconds: float = 60.0

    def __post_init__(self) -> None:
        for option, least in (("epochs", 1), ("batch", 2), ("shift", 0), ("save_seconds", 0)):
            if getattr(self, option) < least:
                self._refuse(option, f"at least {least}")
        for option in ("rate", "temperature"):
            if not 0 < getattr(self, option) < float("inf"):
                self._refuse(option, "more than 0")
        for option in ("warmup", "momentum", "smoothing"):
            if not 0 <= getattr(self, option) < 1:
                self._refuse(option, "at least 0 and less than 1")
        if not 0 <= self.weight_decay < float("inf"):
            self._refuse("weight_decay", "at least 0")
        if self.distill is not None and not 0 <= self.distill <= 1:
            self._refuse("distill", "between 0 and 1")
        if self.distill == 0 and self.distance is not None:
            raise UsageError(
                f"{self.name}: distance={self.distance} has no meaning with distill=0; leave one "
                "of them out"
            )

    def _refuse(self, option: str, expected: str) -> None:
        value = getattr(self, option)
        raise UsageError(f"{self.name}: {option} is {value}, expected {expected}")

    def run(self, program: Program, context: Context) -> Program:
        from codesign.passes.recover.train import train

        data = context.need_training(self.name)
        self._check(program.graph, data, context)
        return program.with_graph(train(self, program.graph, data, context))

    def _check(self, graph: Graph, data: Dataset, context: Context) -> None:
        """Raise unless `data` and the options of this pass fit each other and `graph`."""
        data.check(graph)
        if data.labels is None and self.taught(data) < 1:
            raise UsageError(
                f"{self.name}: distill={self.distill} leaves a share of the loss to labels, but "
                "the training data has none; add an array `labels`, or leave distill out"
            )
        if self.taught(data) > 0 and context.original is None:
            raise UsageError(
                f"{self.name}: there is no network to be taught by; give labels and distill=0"
            )
        if data.size < self.batch:
            raise UsageError(
                f"{self.name}: batch is {self.batch}, but there are {data.size} training samples; "
                "give more of them, or a smaller batch"
            )
        for each in (graph, context.original):
            if each is not None and rebatch(each, self.batch) is None:
                raise RefusedError(
                    f"{self.name}: {each.name!r} computes on batches of one size alone: its "
                    f"shapes cannot be those of {self.batch} samples; import it with a batch that "
                    "is free, and reshapes that keep the first axis"
                )

    def taught(self, data: Dataset) -> float:
        """The share of the loss that is the distance to the original network."""
        if self.distill is not None:
            return self.distill
        return 1.0 if data.labels is None else SHARE_TAUGHT

    def kept(self) -> Path | None:
        """The file of the checkpoint."""
        return None if self.checkpoint is None else Path(self.checkpoint)

    @property
    def told(self) -> str:
        """All that training depends on, in words."""
        return spec.show(self.name, self)
