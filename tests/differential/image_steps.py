"""Steps for values [N, C, L] or [N, C, H, W]: each appends a few nodes and returns their result."""

from collections.abc import Callable
from typing import Any

from tests.differential.net import Net

Step = Callable[[Net, str], str]
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 32, 33)


def window(net: Net, x: str, dilated: bool = True) -> dict[str, Any]:
    """Kernel, strides, pads and dilations that fit `x`."""
    kernel, strides, dilations, before, after = [], [], [], [], []
    for extent in net.shape(x)[2:]:
        k = net.pick([1, 2, 3, 3, 3, 5])
        d = net.pick([1, 1, 1, 2]) if dilated else 1
        span = (k - 1) * d + 1
        half = (span - 1) // 2
        p = [half, half] if net.chance(2) else [net.number(0, k - 1), net.number(0, k - 1)]
        if extent + sum(p) < span:
            k, d, p = 1, 1, [0, 0]
        kernel.append(k)
        dilations.append(d)
        strides.append(net.pick([1, 1, 1, 2, 3]))
        before.append(p[0])
        after.append(p[1])
    if net.chance(3):  # the usual window: square, one stride
        strides = [strides[0]] * len(strides)
    found = {"kernel_shape": kernel, "strides": strides, "pads": before + after}
    return found | ({"dilations": dilations} if dilated else {})


def _fan(kernel: list[int], channels: int) -> int:
    for extent in kernel:
        channels *= extent
    return channels


def conv(net: Net, x: str) -> str:
    """A convolution, grouped one time in four; its bias at times absent."""
    c = net.shape(x)[1]
    fields = window(net, x)
    groups = net.pick([g for g in range(2, c + 1) if c % g == 0] or [1]) if net.chance(4) else 1
    out = groups * net.number(1, 4) if groups > 1 else net.pick(CHANNELS)
    kernel = fields["kernel_shape"]
    w = net.normal(out, c // groups, *kernel, fan=_fan(kernel, c // groups))
    bias = None if net.chance(3) else net.normal(out)
    return net.op("Conv", x, w, bias, group=groups, **fields)


def pointwise(net: Net, x: str) -> str:
    """A 1x1 convolution."""
    c, axes = net.shape(x)[1], len(net.shape(x)) - 2
    w = net.normal(out := net.pick(CHANNELS), c, *(1,) * axes, fan=c)
    return net.op("Conv", x, w, net.normal(out), kernel_shape=[1] * axes)


def depthwise(net: Net, x: str) -> str:
    """A depthwise convolution, at times with two results a channel."""
    c, fields = net.shape(x)[1], window(net, x)
    kernel = fields["kernel_shape"]
    out = c * net.pick([1, 1, 1, 2])
    w = net.normal(out, 1, *kernel, fan=_fan(kernel, 1))
    return net.op("Conv", x, w, net.normal(out), group=c, **fields)


def conv_transpose(net: Net, x: str) -> str:
    """A transposed convolution."""
    c, axes = net.shape(x)[1], len(net.shape(x)) - 2
    kernel = [net.number(1, 4) for _ in range(axes)]
    strides = [net.number(1, 2) for _ in range(axes)]
    pads = [net.number(0, (k - 1) // 2) for k in kernel * 2]
    extra = [net.number(0, s - 1) for s in strides]
    groups = net.pick([g for g in (1, 1, 2, c) if c % g == 0])
    out = net.pick([1, 2, 5, 16])
    w = net.normal(c, out, *kernel, fan=c // groups)
    return net.op(
        "ConvTranspose", x, w, None if net.chance(2) else net.normal(out * groups),
        kernel_shape=kernel, strides=strides, pads=pads, output_padding=extra, group=groups,
    )  # fmt: skip


def batch_norm(net: Net, x: str) -> str:
    """A batch normalization; at times a channel has scale zero."""
    c = net.shape(x)[1]
    scale = net.random.uniform(0.5, 1.5, c).astype("f4")
    scale[: net.pick([0, 0, 0, 1])] = 0
    rest = (net.normal(c), net.normal(c), net.between(0.5, 2, c))
    return net.op("BatchNormalization", x, net.constant(scale), *rest)


def norm(net: Net, x: str) -> str:
    """Instance normalization."""
    c = net.shape(x)[1]
    return net.op("InstanceNormalization", x, net.between(0.5, 1.5, c), net.normal(c), epsilon=0.01)


def pool(net: Net, x: str) -> str:
    """A pool whose every window fits its padded input and sees some of it."""
    fields = window(net, x, dilated=False)
    kernel, strides = fields["kernel_shape"], fields["strides"]
    ceil, axes = net.chance(4), len(kernel)
    pads = [0 if ceil else min(p, k // 2) for p, k in zip(fields["pads"], kernel * 2, strict=True)]
    for i, extent in enumerate(net.shape(x)[2:]):
        if extent + pads[i] + pads[axes + i] < kernel[i]:
            kernel[i], pads[i], pads[axes + i] = 1, 0, 0
    fields["pads"] = pads
    if ceil:  # where onnx's shape inference agrees with onnxruntime
        strides = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
        fields |= {"ceil_mode": 1, "strides": strides}
    if net.chance(2):
        return net.op("MaxPool", x, **fields)
    return net.op("AveragePool", x, count_include_pad=int(net.chance(2)), **fields)


def global_pool(net: Net, x: str) -> str:
    """The mean or maximum over all pixels."""
    return net.op(net.pick(["GlobalAveragePool", "GlobalAveragePool", "GlobalMaxPool"]), x)


def excitation(net: Net, x: str) -> str:
    """Squeeze and excitation (Hu et al., 2018)."""
    c, axes = net.shape(x)[1], len(net.shape(x)) - 2
    inner = max(1, c // 2)
    y = net.op("GlobalAveragePool", x)
    w = net.normal(inner, c, *(1,) * axes, fan=c)
    y = net.op("Relu", net.op("Conv", y, w, net.normal(inner)))
    w = net.normal(c, inner, *(1,) * axes, fan=inner)
    y = net.op(net.pick(["Sigmoid", "HardSigmoid"]), net.op("Conv", y, w, net.normal(c)))
    return net.op("Mul", x, y)


def bottleneck(net: Net, x: str) -> str:
    """Two convolutions and a residual sum, activated at times."""
    c, axes = net.shape(x)[1], len(net.shape(x)) - 2
    k, inner = net.pick([1, 3]), net.pick([4, 16, 20])
    pads = {"kernel_shape": [k] * axes, "pads": [k // 2] * (2 * axes)}
    y = net.op("Conv", x, net.normal(inner, c, *[k] * axes, fan=c * k**axes), **pads)
    y = net.op("Relu", y)
    w = net.normal(c, inner, *[k] * axes, fan=inner * k**axes)
    y = net.op("Conv", y, w, net.normal(c), **pads)
    y = net.op("Add", *((x, y) if net.chance(2) else (y, x)))
    return net.op("Relu", y) if net.chance(2) else y


def resize(net: Net, x: str) -> str:
    """Nearest or linear interpolation to other sizes.

    Longer axes stay as they are: onnxruntime computes coordinates in float32, and from 20 elements
    to 12, for one, takes the neighbour of the element that is nearest.
    """
    shape = net.shape(x)
    other = [max(1, min(12, net.pick([s * 2, s * 2, s + 1, (s + 1) // 2]))) for s in shape[2:]]
    sizes = [s if s > 12 else o for s, o in zip(shape[2:], other, strict=True)]
    fields = net.pick(
        [
            {"mode": "nearest", "coordinate_transformation_mode": "asymmetric",
             "nearest_mode": "floor"},
            {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
            {"mode": "linear", "coordinate_transformation_mode": "asymmetric"},
        ]
    )  # fmt: skip
    return net.op("Resize", x, None, None, net.integers(*shape[:2], *sizes), **fields)


def pad(net: Net, x: str) -> str:
    """Pixels around the image."""
    shape = net.shape(x)
    mode = net.pick(["constant", "constant", "reflect", "edge"])
    most = [2 if mode != "reflect" else min(2, s - 1) for s in shape[2:]]
    pads = [[0, 0] + [net.number(0, m) for m in most] for _ in range(2)]
    value = net.between(-1, 1) if mode == "constant" and net.chance(2) else None
    return net.op("Pad", x, net.integers(*pads[0], *pads[1]), value, mode=mode)


def shuffle(net: Net, x: str) -> str:
    """Channels interleaved by groups (Zhang et al., ShuffleNet, 2018)."""
    n, c, *spatial = net.shape(x)
    groups = net.pick([g for g in (2, 3, 4) if c % g == 0] or [1])
    y = net.op("Reshape", x, net.integers(n, groups, c // groups, *spatial))
    y = net.op("Transpose", y, perm=[0, 2, 1, *range(3, 3 + len(spatial))])
    return net.op("Reshape", y, net.integers(n, c, *spatial))


def prelu(net: Net, x: str) -> str:
    """A slope for each channel."""
    shape = net.shape(x)
    return net.op("PRelu", x, net.between(-0.5, 0.5, shape[1], *(1,) * (len(shape) - 2)))


STEPS: tuple[Step, ...] = (
    conv, conv, conv, pointwise, pointwise, depthwise, depthwise, bottleneck, conv_transpose,
    batch_norm, batch_norm, norm, pool, pool, global_pool, excitation, resize, pad, shuffle, prelu,
)  # fmt: skip
