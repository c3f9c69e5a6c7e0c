"""The problems that convolution kernels solve, as plain numbers."""

from dataclasses import dataclass, field
from math import prod

from codesign.errors import RefusedError
from codesign.targets.tvm.isa import Isa


@dataclass(frozen=True)
class ConvShape:
    """A convolution over 1 to 3 spatial axes: cross-correlation, as in torch and ONNX.

    `pads` is (before, after) for each spatial axis. `block` is the number of channels b that lie
    together in the blocked layout [N, ceil(C/b), spatial..., b]; kernels on plain layouts ignore
    it. With `transposed`, it is the gradient of the convolution with respect to its input
    (ConvTranspose), `output_pads` being the extra size at the end of each output axis.
    """

    n: int
    ic: int
    oc: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    groups: int = 1
    block: int = 16
    transposed: bool = False
    output_pads: tuple[int, ...] = field(default=())

    def __str__(self) -> str:
        """In words, what is usual left away."""

        def by(extents: tuple[int, ...]) -> str:
            return "x".join(map(str, extents)) or "no axes"

        kind = "transposed convolution" if self.transposed else "convolution"
        text = f"a {by(self.kernel)} {kind}, {self.ic} to {self.oc} channels on {by(self.spatial)}"
        sides = {side for pad in self.pads for side in pad}
        pads = str(sides.pop()) if len(sides) == 1 else by(tuple(sum(self.pads, ())))
        extras = (
            ("stride", by(self.strides), any(stride != 1 for stride in self.strides)),
            ("padding", pads, any(sum(self.pads, ()))),
            ("dilation", by(self.dilations), any(step != 1 for step in self.dilations)),
            ("groups", str(self.groups), self.groups != 1),
            ("batch", str(self.n), self.n != 1),
        )
        return text + "".join(f", {name} {value}" for name, value, unusual in extras if unusual)

    @property
    def out_spatial(self) -> tuple[int, ...]:
        """Size of each spatial axis of the output."""
        return tuple(self._out(axis) for axis in range(len(self.spatial)))

    def _out(self, axis: int) -> int:
        size, stride, pad = self.spatial[axis], self.strides[axis], sum(self.pads[axis])
        reach = (self.kernel[axis] - 1) * self.dilations[axis]
        if self.transposed:
            extra = self.output_pads[axis] if self.output_pads else 0
            return (size - 1) * stride - pad + reach + 1 + extra
        return (size + pad - reach - 1) // stride + 1

    @property
    def group_ic(self) -> int:
        """Input channels of one group."""
        return self.ic // self.groups

    @property
    def group_oc(self) -> int:
        """Output channels of one group."""
        return self.oc // self.groups

    @property
    def ic_blocks(self) -> int:
        """Channel blocks of the input."""
        return -(-self.ic // self.block)

    @property
    def oc_blocks(self) -> int:
        """Channel blocks of the output."""
        return -(-self.oc // self.block)

    @property
    def blocked_input(self) -> tuple[int, ...]:
        """Physical shape of the input in the blocked layout."""
        return (self.n, self.ic_blocks, *self.spatial, self.block)

    @property
    def blocked_output(self) -> tuple[int, ...]:
        """Physical shape of the output in the blocked layout."""
        return (self.n, self.oc_blocks, *self.out_spatial, self.block)

    @property
    def plain_input(self) -> tuple[int, ...]:
        """Physical shape of the input in the plain layout [N, C, spatial...]."""
        return (self.n, self.ic, *self.spatial)

    @property
    def plain_output(self) -> tuple[int, ...]:
        """Physical shape of the output in the plain layout [N, C, spatial...]."""
        return (self.n, self.oc, *self.out_spatial)

    @property
    def weight(self) -> tuple[int, ...]:
        """Shape of the weight as in torch: [O, I/g, k...], transposed [I, O/g, k...]."""
        if self.transposed:
            return (self.ic, self.group_oc, *self.kernel)
        return (self.oc, self.group_ic, *self.kernel)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, counting those that fall on padding."""
        if self.transposed:
            return self.n * self.ic * self.group_oc * prod(self.kernel) * prod(self.spatial)
        return self.n * self.oc * self.group_ic * prod(self.kernel) * prod(self.out_spatial)


def default_block(isa: Isa) -> int:
    """Channels a block of the blocked layout for `isa`: one 512- or 256-bit vector, at least 8."""
    return max(isa.f32_lanes, 8)


def require(condition: bool, kernel: str, shape: ConvShape, needs: str) -> None:
    """Raise RefusedError unless `condition`: `kernel` got `shape` but needs what `needs` says."""
    if not condition:
        raise RefusedError(f"{kernel} cannot compute {shape}: it needs {needs}")
