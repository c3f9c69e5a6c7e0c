"""Random small ONNX networks."""

from dataclasses import dataclass
from math import prod
from zlib import crc32

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto

from tests.differential import image_steps, plain_steps
from tests.differential.image_steps import Step
from tests.differential.net import LARGEST, Net, Shape

MIXED = image_steps.STEPS + plain_steps.STEPS
QUANTIZABLE: tuple[Step, ...] = (
    image_steps.conv, image_steps.conv, image_steps.pointwise, image_steps.depthwise,
    image_steps.bottleneck, image_steps.bottleneck, image_steps.pool, image_steps.batch_norm,
    image_steps.excitation, plain_steps.clip, plain_steps.with_older, plain_steps.concat,
    plain_steps.activation, plain_steps.with_constant,
)  # fmt: skip
FLAT: tuple[Step, ...] = (plain_steps.gemm, plain_steps.activation, plain_steps.with_older)
BRANCH = 8  # one step in so many goes on from an older value
SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Drawn:
    """A model and the shapes of its inputs, all float32."""

    model: ModelProto
    inputs: dict[str, Shape]

    def feeds(self, seed: int = 0, samples: int = 1) -> dict[str, np.ndarray]:
        """Normally distributed inputs, `samples` batches of them along the first axis."""
        random = np.random.default_rng(seed)
        return {
            name: random.standard_normal((samples * shape[0], *shape[1:])).astype(np.float32)
            for name, shape in self.inputs.items()
        }


@dataclass
class _Growth:
    """A network that grows step by step; `ends` are values that nothing reads yet."""

    net: Net
    value: str
    ends: list[str]

    def grow(self, step: Step, seed: int) -> None:
        """Apply one step, another one where it does not fit the value's rank.

        Steps of one seed differ in their constants, or a normalization's shift would be the very
        threshold that a choice after it compares with, and a rounding would decide.
        """
        net, x = self.net, self.value
        net.random = np.random.default_rng([seed, crc32(step.__name__.encode())])
        flat = len(net.shape(x)) not in (3, 4)
        if flat and step in image_steps.STEPS:
            step = net.pick(FLAT)
        mark = net.mark()
        self.value = step(net, x)
        made = [v for node in net.nodes[mark[0] :] for v in node.output]
        if max((prod(net.shape(v)) for v in made), default=0) > LARGEST or too_deep(net, made):
            net.back(mark)
            self.value = x
            return
        net.older.append(self.value)
        if net.chance(BRANCH):
            self.ends.append(self.value)
            self.value = net.pick(net.older)

    def finish(self, classify: bool) -> list[str]:
        """The outputs: what was made last and up to two ends of branches."""
        net = self.net
        if classify and len(net.shape(self.value)) > 1:
            self.value = plain_steps.gemm(net, self.value)
        if self.value in net.inputs:
            self.value = net.op("Relu", self.value)
        others = [v for v in self.ends if v not in net.inputs]
        return list(dict.fromkeys([*others[-2:], self.value]))


def too_deep(net: Net, values: list[str]) -> bool:
    """Whether some value has more than five axes."""
    return any(len(net.shape(v)) > 5 for v in values)


@st.composite
def inputs(draw: st.DrawFn) -> Shape:
    """Shape of an input: mostly an image or a line of channels, at times a matrix."""
    batch, rank = draw(st.integers(1, 3)), draw(st.sampled_from([4, 4, 4, 3, 2]))
    if rank == 2:
        return batch, draw(st.sampled_from([1, 5, 16, 24, 33]))
    channels = draw(st.sampled_from([1, 2, 3, 3, 4, 8, 16, 19]))
    return batch, channels, *(draw(st.integers(1, 11)) for _ in range(rank - 2))


@st.composite
def networks(
    draw: st.DrawFn, steps: tuple[Step, ...] = MIXED, least: int = 5, most: int = 12
) -> Drawn:
    """A network of `least` to `most` of `steps`, each of one to five nodes.

    What a step makes of its value follows from a seed of its own, so that hypothesis can take
    steps away one by one and leave the others as they are, where shapes allow.
    """
    net, shape = Net(), draw(inputs())
    growth = _Growth(net, net.input(shape), [])
    if draw(st.integers(0, 4)) == 4:
        net.input(shape)
    plan = st.lists(st.tuples(st.sampled_from(steps), SEEDS), min_size=least, max_size=most)
    for step, seed in draw(plan):
        growth.grow(step, seed)
    return Drawn(net.model(growth.finish(draw(st.booleans()))), net.inputs)
