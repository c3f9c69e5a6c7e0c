"""Foldings: the automatic one, and those that a user gives."""

import json
from pathlib import Path

import pytest

from benchmarks import finn_models as models
from codesign import plugins
from codesign.errors import RefusedError, UnknownNameError, UnsupportedModelError, UsageError
from codesign.ir.program import Program
from codesign.targets.xnor.area import Area, design_area
from codesign.targets.xnor.bram import blocks, lutram
from codesign.targets.xnor.engine import interval
from codesign.targets.xnor.fold import unfit
from codesign.targets.xnor.timing import goal, timed
from codesign.targets.xnor.whole import folds_of
from tests.targets.xnor.nets import Net, exact, form


def lfc_small() -> Program:
    return Program(models.fully_connected("small", (32, 16), 24, 10))


def file(tmp_path: Path, pairs: object, name: str = "folding.json") -> str:
    path = tmp_path / name
    path.write_text(json.dumps(pairs), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("device", ["zc706", "zynq7020", "zu3eg"])
def test_the_automatic_folding_fits_and_is_as_fast_as_the_published_one(device: str) -> None:
    target = plugins.make("target", f"finn{{device={device}}}")
    placed = target.place(Program(models.cnv()))
    design = target.design(placed)
    assert not unfit(design_area(design), target.board)
    assert goal(design) <= 32768 and timed(design).interval == goal(design)
    # one engine twice as slow would be seen: all others keep to the pace of the slowest
    assert all(interval(e) <= goal(design) for e in design.engines)


def test_a_rate_is_met_by_the_smallest_folding() -> None:
    found = {}
    for rate in (500.0, 5000.0):
        target = plugins.make("target", f"finn{{rate={rate}}}")
        placed = target.place(Program(models.cnv()))
        design = target.design(placed)
        assert target.board.clock / timed(design).interval >= rate
        found[rate] = design_area(design).luts
    assert found[500.0] < found[5000.0]


def test_a_rate_out_of_reach_is_refused_with_the_rate_in_reach() -> None:
    target = plugins.make("target", "finn{rate=1e9}")
    with pytest.raises(RefusedError, match=r"1e\+09 images/s .* but the fastest .* cycles for one"):
        target.place(lfc_small())


def test_files_of_layers_and_of_finn_are_read(tmp_path: Path) -> None:
    pairs: dict[str, dict[str, object]] = {
        "L0": {"PE": 4, "SIMD": 8},
        "L1": {"PE": 2, "SIMD": 4, "ram_style": "block"},
    }
    pairs["L2"] = {"PE": 5, "SIMD": 1}
    finn: dict[str, dict[str, object]] = {
        "Defaults": {},
        "Thresholding_hls_0": {"PE": 49},
        "LabelSelect_hls_0": {"PE": 1},
    }
    finn |= {f"MVAU_hls_{i}": pair for i, pair in enumerate(pairs.values())}
    for number, given in enumerate((pairs, finn)):
        target = plugins.make(
            "target", f"finn{{folding={file(tmp_path, given, f'{number}.json')}}}"
        )
        placed = target.place(lfc_small())
        folds = folds_of(placed)
        assert [(f.pe, f.simd) for f in folds.values()] == [(4, 8), (2, 4), (5, 1)]
        assert folds["L1"].style == "block"
        exact(placed, target.spec)
    toml = tmp_path / "f.toml"
    toml.write_text("[L0]\nPE = 1\nSIMD = 1\n[L1]\nPE = 1\nSIMD = 1\n[L2]\nPE = 1\nSIMD = 1\n")
    placed = plugins.make("target", f"finn{{folding={toml}}}").place(lfc_small())
    assert {(f.pe, f.simd) for f in folds_of(placed).values()} == {(1, 1)}


ONE = {"PE": 1, "SIMD": 1}
BAD = {
    "does not divide": (
        {"L0": {"PE": 5, "SIMD": 8}, "L1": ONE, "L2": ONE}, RefusedError,
        r"%L0: PE 5 does not divide its 32 output channels.* 2 are left over; take 4 or 8",
    ),
    "columns": (
        {"L0": {"PE": 4, "SIMD": 7}, "L1": ONE, "L2": ONE}, RefusedError,
        r"%L0: SIMD 7 does not divide its 24 inputs of a channel.*take 6 or 8",
    ),
    "lacks": ({"L0": ONE}, UsageError, r"lacks L1, L2; every layer needs PE and SIMD"),
    "strange": ({"L9": ONE, "L0": ONE, "L1": ONE, "L2": ONE}, UnknownNameError, "'L9'"),
    "word": ({"L0": {"PE": "a", "SIMD": 1}, "L1": ONE, "L2": ONE}, UsageError, "L0: PE is 'a'"),
    "key": ({"L0": {"P": 1, "SIMD": 1}, "L1": ONE, "L2": ONE}, UnknownNameError, "'P'"),
    "style": (
        {"L0": {**ONE, "ram_style": "gold"}, "L1": ONE, "L2": ONE}, UsageError,
        "ram_style is 'gold', expected block, distributed or auto",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_foldings_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    given, error, words = BAD[name]
    target = plugins.make("target", f"finn{{folding={file(tmp_path, given)}}}")
    with pytest.raises(error, match=words):
        target.place(lfc_small())


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "f.json"
    broken.write_text("{", encoding="utf-8")
    for path, words in ((broken, "is no JSON"), (tmp_path / "no.json", "cannot be read")):
        with pytest.raises(UsageError, match=words):
            plugins.make("target", f"finn{{folding={path}}}").place(lfc_small())


def test_a_folding_that_does_not_fit_says_of_what_by_how_much_and_what_helps(
    tmp_path: Path,
) -> None:
    net = Net()
    x = net.encode(net.linear(net.input(1, 1024, grid=form("b")), 1024, form("b")), form("b"))
    graph = net.graph(net.linear(x, 8, form("b")))
    given = {"L1": {"PE": 1024, "SIMD": 1024}, "L2": ONE}
    target = plugins.make("target", f"finn{{device=zynq7020,folding={file(tmp_path, given)}}}")
    words = r"takes \d+ luts, but zynq7020 has 32240 for it, \d+ too many; narrower weights"
    with pytest.raises(RefusedError, match=words):
        target.place(Program(graph))


def test_a_network_that_does_not_fit_in_its_smallest_folding_is_refused(tmp_path: Path) -> None:
    lines = ('name = "tiny"', 'clock = "10 MHz"', "luts = 2000", "lutram = 1200", "bram18 = 9")
    text = "\n".join(["[device]", *lines, "dsp = 1"])
    path = tmp_path / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    target = plugins.make("target", f"finn{{device={path}}}")
    words = r"net in its smallest folding takes \d+ \w+, but tiny has \d+ for it, \d+ too many; "
    with pytest.raises(RefusedError, match=words):
        target.place(Program(models.fully_connected("net", (256,) * 9, 256, 10)))
    with pytest.raises(
        UnsupportedModelError, match=r"%L0 in its smallest folding takes \d+ bram18"
    ):
        target.place(Program(models.fully_connected("net", (2048,), 256, 10)))


def test_memories_fill_blocks_by_the_best_of_their_shapes() -> None:
    assert [blocks(512, 36), blocks(513, 36), blocks(512, 37)] == [1, 2, 2]
    assert [blocks(16384, 1), blocks(16385, 1), blocks(1024, 18), blocks(2048, 9)] == [1, 2, 1, 1]
    assert blocks(128, 22656) == 630  # of LFC-max all weights of a cycle
    assert [lutram(64, 1), lutram(65, 1), lutram(16, 100)] == [1, 2, 100]
    assert Area(1, 2, 3, 4) + Area(1, 1, 1, 1) == Area(2, 3, 4, 5)
