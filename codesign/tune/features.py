"""Numbers that describe a candidate to the learned model, by name."""

from collections.abc import Mapping
from math import log2, prod

from codesign.ir.program import Point
from codesign.mapping.group import Group

Features = Mapping[str, float]


def task_features(group: Group) -> dict[str, float]:
    """Sizes, strides and widths of a group; the same for all its candidates."""
    found = {"macs": log2(1 + group.macs), "chain": float(len(group.nodes))}
    places = [("in", group.input_type(0)), ("weight", group.input_type(1))]
    for place, kind in (*places, ("out", group.output_type)):
        if kind is None:
            continue
        found[f"{place}.size"] = log2(1 + prod(kind.shape))
        found[f"{place}.bits"] = float(kind.integer.width if kind.integer else 32)
        for axis, extent in enumerate(kind.shape[:5]):
            found[f"{place}.{axis}"] = log2(1 + extent)
    for name in ("strides", "dilations", "groups"):
        value = getattr(group.anchor.op, name, None)
        if value is not None:
            found[name] = float(value if isinstance(value, int) else prod(value))
    found[f"op.{group.anchor.kind}"] = 1.0
    return found


def candidate_features(kernel: str, point: Point) -> dict[str, float]:
    """The kernel and the fields of its schedule that are numbers."""
    found = {f"kernel.{kernel}": 1.0}
    for name, value in point:
        if isinstance(value, bool | int | float):
            found[f"point.{name}"] = float(value)
        elif isinstance(value, str):
            found[f"point.{name}.{value}"] = 1.0
    return found
