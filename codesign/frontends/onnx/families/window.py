"""Attributes that convolutions and pools share: strides, pads, dilations, automatic padding."""

from dataclasses import dataclass

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call
from codesign.frontends.onnx.order import describe
from codesign.ir.ops.convolution import Pads
from codesign.ir.ops.pool import ceil_pads


@dataclass(frozen=True)
class Window:
    """A sliding window over the spatial axes; `pads` are explicit."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: Pads
    overhang: Pads = ()  # `pads` and what a ceil mode adds at the end


def spatial_rank(call: Call) -> int:
    """Number of spatial axes of the first input: 1 to 3."""
    rank = call.x().rank - 2
    if not 1 <= rank <= 3:
        raise call.refuse(f"an input of shape {list(call.x().shape)}: 1 to 3 spatial axes are")
    return rank


def per_axis(call: Call, name: str, rank: int, default: int) -> tuple[int, ...]:
    """Integer-list attribute of one positive number for each spatial axis."""
    found = call.integers(name, [default] * rank)
    if len(found) != rank or min(found) < (0 if name == "output_padding" else 1):
        raise InvalidModelError(
            f"{describe(call.node)}: {name} is {list(found)[:8]}, expected {rank} positive numbers"
        )
    return found


def explicit_pads(call: Call, rank: int) -> Pads:
    """The attribute `pads`: all befores, then all afters."""
    flat = call.integers("pads", [0] * (2 * rank))
    if len(flat) != 2 * rank or min(flat) < 0:
        raise InvalidModelError(
            f"{describe(call.node)}: pads are {list(flat)[:8]}, expected {2 * rank} numbers of at "
            "least 0"
        )
    return tuple(zip(flat[:rank], flat[rank:], strict=True))


def window(call: Call, kernel: tuple[int, ...]) -> Window:
    """The window of a convolution or pool over the first input."""
    rank = spatial_rank(call)
    strides = per_axis(call, "strides", rank, 1)
    dilations = per_axis(call, "dilations", rank, 1)
    if len(kernel) != rank or min(kernel) < 1:
        raise InvalidModelError(
            f"{describe(call.node)}: kernel {list(kernel)} does not fit {rank} spatial axes"
        )
    auto = call.text("auto_pad", "NOTSET")
    pads = explicit_pads(call, rank)
    sizes = call.x().shape[2:]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        totals = [
            max((-(-size // stride) - 1) * stride + span - size, 0)
            for size, stride, span in zip(sizes, strides, spans, strict=True)
        ]
        pads = tuple(halves(total, auto == "SAME_UPPER") for total in totals)
    elif auto == "VALID":
        pads = ((0, 0),) * rank
    elif auto != "NOTSET":
        raise call.refuse(f"auto_pad={auto!r}", "auto_pad")
    overhang = pads
    if call.integer("ceil_mode", 0) and auto == "NOTSET":
        geometry = zip(sizes, kernel, strides, pads, dilations, strict=True)
        overhang = tuple(ceil_pads(*axis) for axis in geometry)
    return Window(kernel, strides, dilations, pads, overhang)


def halves(total: int, upper: bool) -> tuple[int, int]:
    """`total` pads split in two, the larger half after (`upper`) or before."""
    small, large = total // 2, total - total // 2
    return (small, large) if upper else (large, small)
