"""A layer's engine in words, and what other foldings of it would cost."""

from collections.abc import Iterator
from typing import Any

from codesign.targets.xnor.device import Device
from codesign.targets.xnor.engine import interval
from codesign.targets.xnor.fold import Option, option, options
from codesign.targets.xnor.layer import Fold, Layer

SHOWN = 12


def explained(layer: Layer, fold: Fold, device: Device) -> dict[str, Any]:
    """As a JSON object: the loop nest, cycles by engine, and `foldings` from slow to fast.

    Each has pe, simd, the memory of its weights, cycles an image and LUTs, blocks and DSP slices.
    """
    here = option(layer, fold)
    busy = {"matrix unit": interval(layer.mvtu(fold))}
    window = layer.windowed(fold.simd)
    if window is not None:
        busy |= {"window in": window.written, "window out": window.read}
    return {
        "loop_nest": list(_nest(layer, fold)),
        "cycles": float(here.cycles),
        "bound": max(busy, key=lambda name: busy[name]),
        "waiting": 0.0,
        "waits": [],
        "busy_cycles": {name: float(cycles) for name, cycles in busy.items()},
        "energy_uj": {},
        "doubled": [],
        "foldings": [_shown(one, one.fold == fold) for one in near(layer, here, device)],
    }


def _nest(layer: Layer, fold: Fold) -> Iterator[str]:
    yield f"for vector in {layer.vectors}"
    yield f"  for fold in {layer.rows // fold.pe} (of {fold.pe} output channels each)"
    yield f"    for step in {layer.columns // fold.simd} (of {fold.simd} inputs each)"
    kind = "XNOR and count" if layer.signs else f"{layer.weight_bits} x {layer.input_bits} b"
    yield f"      {fold.pe} x {fold.simd} products ({kind}), weights in {fold.style} memory"
    codes = " and ".join(f"{bits} b codes" if bits else "sums" for bits in layer.levels)
    yield f"    {codes} of sums of {layer.sums} b"


def near(layer: Layer, here: Option, device: Device) -> list[Option]:
    """Foldings around `here`: the cheapest of each number of cycles, those that are nearest."""
    best: dict[int, Option] = {}
    for one in options(layer):
        other = best.get(one.cycles)
        if other is None or _price(one, device) < _price(other, device):
            best[one.cycles] = one
    best[here.cycles] = here
    cycles = sorted(best)
    at = cycles.index(here.cycles)
    first = max(0, min(at - SHOWN // 2, len(cycles) - SHOWN))
    return [best[c] for c in reversed(cycles[first : first + SHOWN])]


def _price(one: Option, device: Device) -> float:
    parts = ("luts", "bram18", "dsp")
    taken: list[float] = [getattr(one.area, r) / max(1, getattr(device, r)) for r in parts]
    return sum(taken)


def _shown(one: Option, chosen: bool) -> dict[str, Any]:
    return {
        "pe": one.fold.pe,
        "simd": one.fold.simd,
        "memory": one.fold.style,
        "cycles": one.cycles,
        "luts": one.area.luts,
        "bram18": one.area.bram18,
        "dsp": one.area.dsp,
        "chosen": chosen,
    }
