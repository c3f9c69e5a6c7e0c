"""Engines for binary networks beside what was published of FINN and XNE.

python -m benchmarks.finn [--quick] [--only PATTERN] [--json FILE]
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks import finn_models as models
from benchmarks.common import Options, Row, parse_options, publish
from codesign import plugins
from codesign.ir.graph import Graph
from codesign.ir.program import Program
from codesign.targets.xnor.area import Area, design_area
from codesign.targets.xnor.design import make_design
from codesign.targets.xnor.device import RESOURCES, Device
from codesign.targets.xnor.engine import Design, Map, Mvtu, Window, interval
from codesign.targets.xnor.fold import search
from codesign.targets.xnor.layer import Fold, Layer
from codesign.targets.xnor.shared.machine import work
from codesign.targets.xnor.target import Finn
from codesign.targets.xnor.timing import Times, goal, sized, timed
from codesign.targets.xnor.whole import folds_of, layers_of

SHALLOW = 64  # weights of fewer words are in LUTs, as tools place them
CLOCK = 300e6  # of BNN-PYNQ's designs on the Ultra96

# Cycles of each layer, BNN-PYNQ's config.h; us an image of 10,000, its notebooks.
CNV_W1_CYCLES = (32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 8192)
CNV_W2A2_CYCLES = (64800, 112896, 82944, 115200, 82944, 73728, 65536, 65536, 8192)
LFC_CYCLES = (416, 512, 512, 512)
CNV_US, CNV_A2_US, LFC_US, EXAMPLES_RATE = 109.29, 109.28, 2.80, 3051.0

# FINN, FPGA 2017, table 3, on the ZC706 at 200 MHz: images/s, LUTs, block RAMs, us, W of the chip.
TABLE: Mapping[str, tuple[str, float, int, float, float, float]] = {
    "SFC-max": ("sfc", 12361e3, 91131, 4.5, 0.31, 7.3),
    "LFC-max": ("lfc", 1561e3, 82988, 396, 2.44, 8.8),
    "CNV-max": ("cnv", 21.9e3, 46253, 186, 283, 3.6),
    "SFC-fix": ("sfc", 12.2e3, 5155, 16, 240, 0.4),
    "LFC-fix": ("lfc", 12.2e3, 5636, 114.5, 282, 0.8),
    "CNV-fix": ("cnv", 11.6e3, 29274, 152.5, 550, 2.3),
}
NETWORKS: Mapping[str, Callable[[], Graph]] = {
    "sfc": lambda: models.fully_connected("sfc", (256,) * 3, 784, 10),
    "lfc": lambda: models.fully_connected("lfc", (1024,) * 3, 784, 10),
    "cnv": lambda: models.cnv(classes=10),
}

# ResNet-34 without its first and last layer: output channels, inputs, kernel, pixels, how often.
RESNET34 = (
    (64, 64, 3, 56, 6), (128, 64, 3, 28, 1), (128, 128, 3, 28, 7), (256, 128, 3, 14, 1),
    (256, 256, 3, 14, 11), (512, 256, 3, 7, 1), (512, 512, 3, 7, 5), (128, 64, 1, 28, 1),
    (256, 128, 1, 14, 1), (512, 256, 1, 7, 1),
)  # fmt: skip
XNE_RATE, XNE_MJ = 8.9, 2.2  # images/s, mJ an image: abstract of Conti et al., TCAD 2018


class Case:
    """A network on a target, to be folded by hand."""

    def __init__(self, graph: Graph, spec: str) -> None:
        self.target: Finn = plugins.make("target", spec)
        self.placed = self.target.place(Program(graph))
        self.layers = layers_of(self.placed, self.target)
        self.stages = self.target.stages(self.placed)

    def design(self, folds: Mapping[str, Fold], port: float = 1024.0) -> Design:
        """The design of a folding, behind a port that does not limit it."""
        return sized(make_design(self.placed.graph, self.stages, folds, port))

    def folds(self, pairs: Sequence[tuple[int, int]]) -> dict[str, Fold]:
        """A folding of (PE, SIMD), memories as tools place them."""
        named = zip(self.layers, pairs, strict=True)
        return {layer.name: placed(layer, Fold(*pair)) for layer, pair in named}


def placed(layer: Layer, fold: Fold) -> Fold:
    """`fold` with weights in blocks unless they are few words."""
    deep = (layer.rows // fold.pe) * (layer.columns // fold.simd) > SHALLOW
    return replace(fold, style="block" if deep else "distributed")


def layer_rows(name: str, case: Case, pairs: models.Pairs, cycles: Sequence[int]) -> Iterator[Row]:
    """The interval of each layer beside the published one."""
    found = [e for e in case.design(case.folds(pairs)).engines if isinstance(e, Mvtu)]
    for engine, published in zip(found, cycles, strict=True):
        detail = {"modelled": interval(engine), "published": published}
        apart = abs(interval(engine) / published - 1)
        yield Row(f"{name} {engine.name} interval", apart, "relative", 0.0, "<=", detail)


def time_row(name: str, times: Times, published: float, clock: float, within: float | None) -> Row:
    """Microseconds an image in a stream of them, beside what was measured."""
    us = times.interval / clock * 1e6
    detail = {
        "modelled": us,
        "published": published,
        "interval": times.interval,
        "first_image_us": times.latency / clock * 1e6,
    }
    sense = None if within is None else "<="
    return Row(f"{name} time", abs(us / published - 1), "relative", within, sense, detail)  # type: ignore[arg-type]


def pynq_rows() -> Iterator[Row]:
    """BNN-PYNQ's and finn-examples' designs."""
    cnv, lfc = Case(models.cnv(), "finn{rate=100}"), Case(models.lfc(), "finn{rate=100}")
    yield from layer_rows("BNN-PYNQ CNV W1A1", cnv, models.CNV_W1, CNV_W1_CYCLES)
    w2a2 = Case(models.cnv(2, 2), "finn{rate=100}")
    yield from layer_rows("BNN-PYNQ CNV W2A2", w2a2, models.CNV_W2A2, CNV_W2A2_CYCLES)
    yield from layer_rows("BNN-PYNQ LFC W1A1", lfc, models.LFC, LFC_CYCLES)
    times = timed(cnv.design(cnv.folds(models.CNV_W1)))
    yield time_row("BNN-PYNQ CNV W1A1", times, CNV_US, CLOCK, 0.01)
    a2 = Case(models.cnv(1, 2), "finn{rate=100}")
    times = timed(a2.design(a2.folds(models.CNV_W1)))
    yield time_row("BNN-PYNQ CNV W1A2", times, CNV_A2_US, CLOCK, 0.01)
    times = timed(lfc.design(lfc.folds(models.LFC), 64.0))
    yield time_row("BNN-PYNQ LFC W1A1", times, LFC_US, CLOCK, None)
    ten = Case(models.cnv(classes=10), "finn{rate=100}")
    times = timed(ten.design(ten.folds(models.CNV_EXAMPLES)))
    yield time_row("finn-examples CNV W1A1", times, 1e6 / EXAMPLES_RATE, 100e6, 0.01)


def area_rows(quick: bool) -> Iterator[Row]:
    """Designs as fast as those of FINN's table: LUTs, block RAMs, latency and power beside them."""
    for name, (network, rate, luts, rams, us, watts) in TABLE.items():
        if quick and network == "cnv":
            continue
        case = Case(NETWORKS[network](), f"finn{{rate={rate * 0.98!r}}}")
        board = case.target.board
        open_ = replace(board, port=1024.0, bram18=1 << 20)  # so the fewest LUTs are looked for
        folds = _searched(case, open_, board.clock / (rate * 0.98))
        folds = {layer.name: placed(layer, folds[layer.name]) for layer in case.layers}
        design = case.design(folds)
        taken, times = design_area(design), timed(design)
        ours = taken.luts + board.shell_luts, (taken.bram18 + board.shell_bram18) / 2
        power = (taken.luts * board.lut_pj + taken.bram18 * board.bram18_pj) * board.clock / 1e12
        detail = {
            "modelled": ours[0],
            "published": luts,
            "block_rams": {"modelled": ours[1], "published": rams},
            "images_per_second": {"modelled": board.clock / times.interval, "published": rate},
            "latency_us": {"modelled": times.latency / board.clock * 1e6, "published": us},
            "chip_watts": {"modelled": power, "published": watts},
            "folding": {n: [f.pe, f.simd, f.style] for n, f in folds.items()},
        }
        yield Row(f"FINN {name} LUTs", abs(ours[0] / luts - 1), "relative", None, None, detail)
        apart = abs(ours[1] / rams - 1)
        parts = {"modelled": ours[1], "published": rams}
        yield Row(f"FINN {name} block RAMs", apart, "relative", None, None, parts)


def _searched(case: Case, device: Device, cycles: float) -> Mapping[str, Fold]:
    def whole(folds: Mapping[str, Fold]) -> tuple[int, Area]:
        design = make_design(case.placed.graph, case.stages, folds, device.port)
        return goal(design), design_area(design)

    found = search(case.layers, device, whole, cycles)
    assert not isinstance(found, list), found
    return found


def automatic_rows() -> Iterator[Row]:
    """The automatic folding beside the published one: on its device, and within its own area."""
    published = {
        "CNV W1A1": (models.cnv, models.CNV_W1),
        "CNV W2A2": (lambda: models.cnv(2, 2), models.CNV_W2A2),
        "LFC W1A1": (models.lfc, models.LFC),
    }
    for name, (make, pairs) in published.items():
        for device in ("zynq7020", "zu3eg"):
            case = Case(make(), f"finn{{device={device}}}")  # type: ignore[operator]
            theirs = case.design(case.folds(pairs), case.target.board.port)
            ours = case.design(folds_of(case.placed), case.target.board.port)
            yield _compared(f"automatic {name} on {device}", ours, theirs)
        exactly = _device_of(design_area(theirs), case.target.board)
        within = case.design(_searched(case, exactly, 0.0), case.target.board.port)
        yield _compared(f"automatic {name} in the published one's area", within, theirs)


def _device_of(taken: Area, board: Device) -> Device:
    """A device with just what a design takes; its LUTs may all be memory."""
    found = {r: getattr(taken, r) for r in RESOURCES}
    return replace(
        board, share=1.0, shell_luts=0, shell_bram18=0, **{**found, "lutram": taken.luts}
    )


def _compared(name: str, ours: Design, theirs: Design) -> Row:
    mine, other = timed(ours).interval, timed(theirs).interval
    areas = {
        who: {r: getattr(design_area(design), r) for r in RESOURCES}
        for who, design in (("ours", ours), ("published", theirs))
    }
    detail = {"modelled": mine, "published": other, "area": areas}
    return Row(name, mine / other, "x published cycles", 1.0, "<=", detail)


def xne_rows() -> Iterator[Row]:
    """XNE on the binary layers of ResNet-34."""
    machine = plugins.make("target", "xne").engine
    cycles = ops = busy = 0
    for rows, inputs, kernel, size, times in RESNET34:
        pads = ((kernel // 2, kernel // 2),) * 2
        window = Window("", (), (), Map(inputs, size, size), (kernel, kernel), (1, 1), pads)  # type: ignore[arg-type]
        columns = inputs * kernel * kernel
        layer = Layer("", rows, columns, size * size, window.map, window, 1, 1, True, (1,), 16)
        spent = work(layer, machine)
        cycles += times * spent.cycles
        busy += times * spent.products * machine.lanes
        ops += times * 2 * rows * columns * size * size
    detail = {"cycles": cycles, "operations": ops, "published_mj_with_memories": XNE_MJ}
    energy = busy * 2 * machine.op * 1e-9
    yield Row("XNE ResNet-34 energy of the engine", energy, "mJ", XNE_MJ, "<=", detail)
    yield Row("XNE energy an operation", energy * 1e12 / ops, "fJ", None, None, {"published": 21.6})
    clock = {"clock_mhz": machine.clock / 1e6, "clock_needed_mhz": cycles * XNE_RATE / 1e6}
    yield Row(
        "XNE ResNet-34 rate", machine.clock / cycles, "images/s", None, None,
        {"published": XNE_RATE, **clock},
    )  # fmt: skip


def rows(options: Options) -> Iterator[Row]:
    """All rows, or those that `--only` names."""
    parts: Mapping[str, Callable[[], Iterator[Row]]] = {
        "BNN-PYNQ": pynq_rows,
        "FINN": lambda: area_rows(options.quick),
        "automatic": automatic_rows,
        "XNE": xne_rows,
    }
    for name, part in parts.items():
        if options.only and not options.selects(name):
            continue
        if options.quick and name == "automatic":
            continue
        yield from part()


def main() -> None:
    """Run it."""
    options = parse_options("finn", __doc__ or "")
    found = list(rows(options))
    publish(options, found, {"clock_mhz": CLOCK / 1e6, "weights_in_luts_up_to_words": SHALLOW})


if __name__ == "__main__":
    main()
