"""Modelled accelerators beside what was published of them; mappings by our own search.

python -m benchmarks.accelerators [--quick] [--only PATTERN] [--json FILE] [--scalesim-python PATH]

Eyeriss: the chip's AlexNet (cycles, DRAM bytes, power). Bit Fusion: the authors' simulator. The
systolic array: traces of SCALE-Sim and, where PATH is the Python of an environment that has it, the
package `scalesim` on ResNet-18. Eyeriss v2: one element on layers with zeros. TPU v1: cycles a
weight tile, from its counters. No figure here is timed, so rows do not depend on this machine; the
two that are, pricing and the searches, say so.
"""

import sys
import time
from collections.abc import Iterator, Mapping

from benchmarks import pricing
from benchmarks import systolic as arrays
from benchmarks.common import Options, Row, make_parser, options_from, publish, say
from benchmarks.published import (
    BIT_FUSION,
    EYERISS,
    EYERISS_V2,
    SCALE_SIM,
    TPU,
    Chip,
    Fused,
    Pair,
    Shape,
)
from codesign import plugins
from codesign.cost.operands import DENSE, Densities, Widths
from codesign.machine.machine import Machine
from codesign.mapping.mapper import Found, search


def machine_of(target: str) -> Machine:
    """The machine of a target's name."""
    found: Machine = plugins.make("target", target).machine
    return found


def eyeriss(layer: Chip) -> Found:
    """A layer on Eyeriss, with the zeros that the chip saw."""
    incoming, outgoing = layer.zeros
    densities = Densities(1 - incoming, 1.0, 1 - outgoing)
    problem = layer.shape.problem().padded()
    return search(problem, machine_of("eyeriss"), Widths(16, 16, 16, 16), densities)


def bit_fusion(layer: Fused) -> Found:
    """A layer on Bit Fusion; the windows of a first layer are laid out outside."""
    problem = layer.shape.problem()
    problem = (problem.unfolded() if layer.first else problem).padded()
    return search(problem, machine_of("bitfusion"), Widths(*layer.bits, 32, 32), DENSE)


def systolic(dataflow: str) -> Found:
    """A product of 256 x 256 by 256 x 128 on 32 x 32."""
    machine = machine_of(f"systolic{{array=32x32,dataflow={dataflow}}}")
    return search(Shape(256, 256, 128).problem(), machine, Widths(8, 8, 32, 8))


def tile_period(batch: int) -> float:
    """Cycles a weight tile of a large product takes on TPU v1."""
    found = search(Shape(batch, 2048, 2048).problem(), machine_of("tpu_v1"), Widths(8, 8, 32, 8))
    return float(found.costs.cycles[0]) / (2048 // 256) ** 2


def eyeriss_v2(layer: Pair) -> Found:
    """A layer on one element of Eyeriss v2."""
    machine, densities = machine_of("eyeriss_v2"), Densities(*layer.densities)
    return search(layer.shape.problem(), machine, Widths(8, 8, 20, 8), densities)


def off(value: float, published: float) -> float:
    """Relative distance."""
    return abs(value / published - 1)


def _eyeriss_rows() -> Iterator[Row]:
    total = published = 0.0
    for layer in EYERISS:
        costs = eyeriss(layer).costs
        clock = machine_of("eyeriss").clock
        processing = float(costs.cycles[0]) / clock * 1e3
        moved = float(costs.read["dram"][0] + costs.written["dram"][0]) / 8 / 2**20
        chip = sum(float(pj[0]) for name, pj in costs.energy.items() if name != "dram")
        power = chip / 1e12 / (float(costs.latency[0]) / clock) * 1e3
        total, published = total + processing, published + layer.processing
        for what, value, have, goal in (
            ("ms", processing, layer.processing, 0.15),
            ("DRAM MiB", moved, layer.dram, None if layer.name == "CONV2" else 0.25),
            ("mW", power, layer.milliwatt, 0.30),
        ):
            detail = {"modelled": round(value, 3), "published": have, "bound": costs.bound()}
            yield _row(f"eyeriss AlexNet {layer.name} {what}", off(value, have), goal, detail)
    detail = {"modelled": round(total, 2), "published": round(published, 2)}
    yield _row("eyeriss AlexNet total ms", off(total, published), 0.08, detail)


def _bit_fusion_rows() -> Iterator[Row]:
    everything = expected = 0.0
    for net, layers in BIT_FUSION.items():
        total = published = 0.0
        for layer, times in layers:
            costs = bit_fusion(layer).costs
            compute, cycles = int(costs.compute[0]), float(costs.latency[0])
            total, published = total + times * cycles, published + times * layer.cycles
            detail = {"modelled": [compute, cycles], "published": [layer.compute, layer.cycles]}
            apart = off(compute, layer.compute)
            yield _row(f"bitfusion {net} {layer.name} computing", apart, 0.0, detail)
        everything, expected = everything + total, expected + published
        detail = {"modelled": total, "published": published}
        yield _row(f"bitfusion {net} total cycles", off(total, published), 0.05, detail)
    yield _row("bitfusion seven networks cycles", off(everything, expected), 0.05)


def _other_rows() -> Iterator[Row]:
    for dataflow, cycles in SCALE_SIM.items():
        costs = systolic(dataflow).costs
        last = float(costs.cycles[0]) - 1  # SCALE-Sim's cycles begin at 0
        detail = {"modelled": last, "published": cycles}
        yield _row(f"systolic {dataflow} 256x256x128", off(last, cycles), 0.0, detail)
    for layer in EYERISS_V2:
        have = float(eyeriss_v2(layer).costs.cycles[0])
        detail = {"modelled": round(have), "published": layer.cycles}
        yield _row(f"eyeriss_v2 {layer.name} cycles", off(have, layer.cycles), 0.08, detail)
    for net, (period, batch) in TPU.items():
        value = tile_period(batch)
        detail = {"modelled": round(value, 1), "published": period}
        yield _row(f"tpu_v1 {net} cycles a tile", off(value, period), 0.04, detail)


def _pricing_row(quick: bool) -> Row:
    """Mappings of a layer of ResNet-18 on Eyeriss that are priced in a second of one core."""
    found, count = pricing.rate(10_000, 3 if quick else 25)
    detail = {"at_once": count}
    return Row("mappings priced a second", found, "/s (timed here)", 100_000, ">=", detail)


def _row(
    name: str, value: float, goal: float | None, detail: Mapping[str, object] | None = None
) -> Row:
    return Row(name, value, "relative", goal, None if goal is None else "<=", detail or {})


def main(argv: list[str] | None = None) -> None:
    """Model the chosen layers and publish the rows."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--scalesim-python", metavar="PATH", help="a Python that has scalesim")
    parsed = parser.parse_args(argv)
    options: Options = options_from("accelerators", parsed)
    start = time.perf_counter()
    families = {"eyeriss": _eyeriss_rows, "bitfusion": _bit_fusion_rows, "others": _other_rows}
    rows = []
    for name, family in families.items():
        say(name)
        rows += [row for row in family() if options.selects(row.name)]
    seconds = time.perf_counter() - start
    rows.append(Row("all searches", seconds, "s (timed here)"))
    if options.selects("mappings priced"):
        rows.append(_pricing_row(options.quick))
    if parsed.scalesim_python:
        rows += [row for row in arrays.rows(parsed.scalesim_python) if options.selects(row.name)]
    publish(options, rows, {"clock": "as the machines' own"})


if __name__ == "__main__":
    main(sys.argv[1:])
