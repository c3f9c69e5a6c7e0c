"""Binary engines as hardware: bits and cycles of real images, and what they take on an ECP5.

python -m benchmarks.rtl [--quick] [--only PATTERN] [--json FILE]
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.common import Options, Row, parse_options, publish, say
from benchmarks.rtl_models import Pair, fashion
from codesign import plugins
from codesign.demo.data import load_test
from codesign.ir.program import Program
from codesign.targets.xnor.area import Area, design_area
from codesign.targets.xnor.kernel import MatrixUnit, to_point
from codesign.targets.xnor.layer import Fold
from codesign.targets.xnor.rtl.drive import drive
from codesign.targets.xnor.rtl.drive_shared import drive_shared
from codesign.targets.xnor.rtl.synthesis import place_ecp5
from codesign.targets.xnor.rtl.verilog import lint
from codesign.targets.xnor.shared.target import Xne
from codesign.targets.xnor.target import Finn

FINN = "finn{device=ecp5_25f}"
XNE = "xne{lanes=16}"
IMAGES, QUICK_IMAGES = 2, 1
SEEDS = (1,)  # of placement; the clock is the mean
Folding = Mapping[str, Pair]


@dataclass(frozen=True)
class Case:
    """PE and SIMD of each layer, and the memory of its weights."""

    name: str
    folding: Folding
    block: bool = False


CASES = (
    Case("small", {"conv1": (4, 1), "conv2": (4, 8), "conv3": (2, 16), "linear": (1, 8)}),
    Case("balanced", {"conv1": (8, 1), "conv2": (16, 8), "conv3": (4, 16), "linear": (1, 16)}),
    Case("blocks", {"conv1": (8, 1), "conv2": (8, 8), "conv3": (4, 16), "linear": (1, 16)}, True),
)


def placed_as(graph: Program, target: Finn, case: Case) -> Program:
    """A program placed with a folding."""
    placed = target.place(graph)
    made = []
    for one in placed.placement:
        if one.kernel == MatrixUnit.name:
            fold = Fold(*case.folding[one.nodes[0]], "block" if case.block else "distributed")
            one = replace(one, point=to_point(fold))
        made.append(one)
    return replace(placed, placement=tuple(made))


def streaming_rows(case: Case, images: int) -> Iterator[Row]:
    """Bits and cycles of a folding on test images."""
    target: Finn = plugins.make("target", FINN)
    placed = placed_as(Program(fashion(images)), target, case)
    found = drive(placed, target, {"x": load_test().images[:images]})
    name = f"streaming, {case.name}"
    yield Row(f"{name}: images bit for bit", images if found.exact else 0, "images", images, ">=")
    (cycles,) = [c for n, c in found.cycles.items() if n in found.wanted]
    (modelled,) = [c for n, c in found.modelled.items() if n in found.wanted]
    off = max(abs(a - b) for a, b in zip(cycles, modelled, strict=True))
    detail = {
        "folding": dict(case.folding),
        "first_image": {"hardware": cycles[0] + 1, "model": modelled[0] + 1},
        "interval": {"hardware": _last(cycles), "model": _last(modelled)},
        "total": {"hardware": cycles[-1] + 1, "model": modelled[-1] + 1},
    }
    yield Row(f"{name}: cycles off the model's", off, "cycles", 0, "<=", detail)


def _last(ends: list[int]) -> int | None:
    return ends[-1] - ends[-2] if len(ends) > 1 else None


def shared_rows(images: int) -> Iterator[Row]:
    """Bits and cycles of the layers of signs on the shared engine."""
    target: Xne = plugins.make("target", XNE)
    placed = target.place(Program(fashion(images)))
    found = drive_shared(placed, target, {"x": load_test().images[:images]})
    exact = images if all(ran.exact for ran in found.values()) else 0
    yield Row("shared: images bit for bit", exact, "images", images, ">=")
    off = max(abs(cycles - ran.modelled) for ran in found.values() for cycles in ran.cycles)
    detail = {n: {"hardware": r.cycles[0], "model": r.modelled} for n, r in found.items()}
    yield Row("shared: cycles off the model's", off, "cycles", 0, "<=", detail)


def emitted(case: Case | None) -> tuple[str, Area]:
    """Verilog of a folding, or of the shared engine, and the area that the model gives."""
    if case is None:
        xne: Xne = plugins.make("target", XNE)
        return xne.emitted(xne.place(Program(fashion()))).files["engine.v"], Area()
    target: Finn = plugins.make("target", FINN)
    placed = placed_as(Program(fashion()), target, case)
    text = target.emitted(placed).files["engine.v"]
    return text, design_area(target.design(placed))


def device_rows(case: Case | None, seeds: tuple[int, ...]) -> Iterator[Row]:
    """What a design takes on an LFE5U-25F."""
    text, model = emitted(case)
    lint(text)
    runs = [place_ecp5(text, seed=seed) for seed in seeds]
    name = "shared" if case is None else f"streaming, {case.name}"
    one, mhz = runs[0], float(np.mean([run.mhz for run in runs]))
    detail: dict[str, object] = {
        "lutram": one.lutram,
        "registers": one.registers,
        "bram18": one.bram18,
        "dsp": one.dsp,
        "mhz": [round(run.mhz, 1) for run in runs],
    }
    if case is not None:
        detail["model"] = {"luts": model.luts, "lutram": model.lutram, "bram18": model.bram18}
        detail["luts_for_each_of_the_model"] = round(one.luts / model.luts, 3)
    yield Row(f"{name}: LUTs on LFE5U-25F", one.luts, "LUT4", None, None, detail)
    yield Row(f"{name}: clock on LFE5U-25F", round(mhz, 1), "MHz")


def fitted(rows: list[Row]) -> Iterator[Row]:
    """What a device file takes from the designs that were placed."""
    ratios = []
    for row in rows:
        ratio = row.detail.get("luts_for_each_of_the_model")
        if isinstance(ratio, float):
            ratios.append(ratio)
    clocks = [row.value for row in rows if row.unit == "MHz" and row.name.startswith("streaming")]
    if ratios:
        spread = {"least": min(ratios), "most": max(ratios)}
        yield Row("lut_ratio of LFE5U", round(float(np.mean(ratios)), 2), "x", None, None, spread)
        yield Row("clock of LFE5U", float(np.floor(min(clocks) / 5) * 5), "MHz")


def rows_of(options: Options) -> list[Row]:
    """All rows that are asked for."""
    images, seeds = (QUICK_IMAGES, SEEDS[:1]) if options.quick else (IMAGES, SEEDS)
    rows: list[Row] = []
    for case in CASES[1:2] if options.quick else CASES:
        if options.selects(f"streaming {case.name}"):
            say(f"streaming, {case.name}")
            rows += streaming_rows(case, images)
            rows += device_rows(case, seeds)
    if options.selects("shared"):
        say("shared")
        rows += shared_rows(images)
        rows += device_rows(None, seeds)
    return rows + list(fitted(rows))


def main() -> None:
    """Run and publish."""
    options = parse_options("rtl", "binary engines as hardware")
    rows = rows_of(options)
    tool = {"device": "LFE5U-25F, nextpnr's default speed grade 6", "images": IMAGES}
    publish(options, rows, {**tool, "seeds": list(SEEDS), "target_mhz": 100})


if __name__ == "__main__":
    main()
