"""Resize and the older Upsample."""

from collections.abc import Sequence
from math import floor

import numpy as np

from codesign.errors import InvalidModelError
from codesign.frontends.onnx.call import Call, Table
from codesign.frontends.onnx.order import describe
from codesign.frontends.onnx.value import Value
from codesign.ir.ops import resize as op


def _mode(call: Call) -> str:
    mode = call.text("mode", "nearest")
    if mode not in op.MODES and mode != "bilinear":
        raise call.refuse(f"mode={mode!r}", "mode")
    return "linear" if mode == "bilinear" else mode


def _by_scales(call: Call, x: Value, scales: Sequence[float]) -> tuple[int, ...]:
    if len(scales) != x.rank or min(scales, default=1) <= 0 or not np.isfinite(scales).all():
        raise InvalidModelError(
            f"{describe(call.node)}: scales {list(scales)[:8]} do not fit {x.type}"
        )
    return tuple(floor(e * s) for e, s in zip(x.shape, scales, strict=True))


def upsample(call: Call) -> Value:
    """Upsample: scales by attribute, or by input from operator set 9 on."""
    x, mode = call.x(), _mode(call)
    given = call.numbers("scales") if call.version < 9 else call.array(1, "the scales").reshape(-1)
    scales = tuple(float(s) for s in given)
    shape = _by_scales(call, x, scales)
    return call.op(op.Resize(shape, scales, mode, "asymmetric", "floor"), x)


def resize_10(call: Call) -> Value:
    """Resize of operator set 10: scales only, coordinates i / scale."""
    x, mode = call.x(), _mode(call)
    scales = tuple(float(s) for s in call.array(1, "the scales").reshape(-1))
    shape = _by_scales(call, x, scales)
    return call.op(op.Resize(shape, scales, mode, "asymmetric", "floor"), x)


def _targets(
    call: Call, x: Value, axes: Sequence[int]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Result shape, and scales if those were given."""
    scales = call.array(2, "the scales").reshape(-1) if call.get(2) is not None else np.empty(0)
    if scales.size:
        spread = [1.0] * x.rank
        for axis, scale in zip(axes, scales, strict=True):
            spread[axis] = float(scale)
        return _by_scales(call, x, spread), tuple(spread)
    sizes = call.ints_of(3, "the sizes")
    if len(sizes) != len(axes) or min(sizes, default=1) < 1:
        raise InvalidModelError(f"{describe(call.node)}: sizes {list(sizes)[:8]} do not fit")
    return _by_policy(call, x, axes, sizes)


def _by_policy(
    call: Call, x: Value, axes: Sequence[int], sizes: Sequence[int]
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    policy, shape = call.text("keep_aspect_ratio_policy", "stretch"), list(x.shape)
    if policy == "stretch":
        for axis, size in zip(axes, sizes, strict=True):
            shape[axis] = size
        return tuple(shape), ()
    ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
    if policy not in ("not_larger", "not_smaller"):
        raise call.refuse(f"keep_aspect_ratio_policy={policy!r}", "keep_aspect_ratio_policy")
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    spread = [1.0] * x.rank
    for axis in axes:
        shape[axis] = floor(scale * x.shape[axis] + 0.5)
        spread[axis] = scale
    return tuple(shape), tuple(spread)


def resize(call: Call) -> Value:
    """Resize from operator set 11 on."""
    x, mode = call.x(), _mode(call)
    axes = call.axes(call.integers("axes", range(x.rank)), x.rank)
    coordinates = call.text("coordinate_transformation_mode", "half_pixel")
    if coordinates not in op.COORDINATES:
        raise call.refuse(
            f"coordinate_transformation_mode={coordinates!r}", "coordinate_transformation_mode"
        )
    rounding = call.text("nearest_mode", "round_prefer_floor")
    if rounding not in op.ROUNDINGS:
        raise call.refuse(f"nearest_mode={rounding!r}", "nearest_mode")
    call.ignore("extrapolation_value")  # used by tf_crop_and_resize alone
    call.ignore("keep_aspect_ratio_policy")  # has no effect on scales
    shape, scales = _targets(call, x, axes)
    cubic, outside = call.number("cubic_coeff_a", -0.75), call.integer("exclude_outside", 0)
    antialias = bool(call.integer("antialias", 0))
    exact = [scale * extent for scale, extent in zip(scales, x.shape, strict=False)]
    if coordinates == "align_corners" and any(e != int(e) for e in exact) and mode != "nearest":
        raise call.refuse(
            f"align_corners with scales {list(scales)} that give no whole sizes: implementations "
            "disagree on the corners; give sizes instead",
            "coordinate_transformation_mode",
        )
    if shape == x.shape and not any(s != 1.0 for s in scales):
        return x
    resizer = op.Resize(shape, scales, mode, coordinates, rounding, cubic, bool(outside), antialias)
    return call.op(resizer, x)


TABLE: Table = {
    "Resize": {10: resize_10, 11: resize},
    "Upsample": {7: upsample},
}
