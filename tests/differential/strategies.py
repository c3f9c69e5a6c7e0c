"""Random small ONNX networks."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto

from tests.differential import image_steps, plain_steps
from tests.differential.image_steps import Step
from tests.differential.net import LARGEST, Net, Shape

QUANTIZABLE: tuple[Step, ...] = (
    image_steps.conv, image_steps.pointwise, image_steps.depthwise, image_steps.bottleneck,
    image_steps.bottleneck, image_steps.pool, image_steps.batch_norm, image_steps.global_pool,
    plain_steps.clip, plain_steps.with_older, plain_steps.concat, plain_steps.gemm,
    plain_steps.activation,
)  # fmt: skip


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


def _first(draw: st.DrawFn) -> Shape:
    """Shape of an input: mostly an image or a line of channels, at times a matrix."""
    batch = draw(st.integers(1, 3))
    rank = draw(st.sampled_from([4, 4, 4, 3, 2]))
    if rank == 2:
        return batch, draw(st.sampled_from([1, 5, 16, 24, 33]))
    channels = draw(st.sampled_from([1, 2, 3, 3, 4, 8, 16, 19]))
    return batch, channels, *(draw(st.integers(1, 11)) for _ in range(rank - 2))


def _step(net: Net, x: str, steps: tuple[Step, ...] | None) -> str:
    """One more step, or `x` again if what it makes is too large."""
    rank = len(net.shape(x))
    choices = steps or (
        image_steps.STEPS + plain_steps.STEPS if rank in (3, 4) else plain_steps.STEPS
    )
    if steps and rank not in (3, 4):
        choices = (plain_steps.gemm, plain_steps.activation, plain_steps.with_older)
    mark = net.mark()
    y = net.pick(choices)(net, x)
    sizes = [plain_steps.elements(net, name) for n in net.nodes[mark[0] :] for name in n.output]
    if max(sizes, default=0) > LARGEST or len(net.shape(y)) > 5:
        net.back(mark)
        return x
    return y


@st.composite
def networks(
    draw: st.DrawFn, steps: tuple[Step, ...] | None = None, least: int = 5, most: int = 14
) -> Drawn:
    """A network of `least` to `most` steps of one to five nodes each, with one to three outputs.

    `steps` limits the choice of steps.
    """
    net = Net(draw)
    shape = _first(draw)
    x = net.input(shape)
    if net.chance(5):
        net.input(shape)
    for _ in range(net.number(least, most)):
        x = _step(net, x, steps)
        net.older.append(x)
        if net.chance(5):  # go on from an older value: branches
            x = net.pick(net.older)
    made = [v for v in dict.fromkeys(net.older) if v not in net.inputs]
    if not made:
        made = [net.op("Relu", x)]
    outputs = {made[-1], *(net.pick(made) for _ in range(net.pick([0, 0, 1, 2])))}
    return Drawn(net.model(sorted(outputs, key=made.index)), net.inputs)
